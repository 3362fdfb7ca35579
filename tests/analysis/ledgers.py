"""Ledgers with invented results, written through the ledger's own interface: seeded, and none of them measured."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from terminator.analysis import Results, load
from terminator.analysis.measured import judged
from terminator.analysis.statistics.looks import take_look
from terminator.analysis.summary import Summary, summarize
from terminator.config import RunConfig, to_plain
from terminator.ledger import (
    METRICS,
    Ablation,
    Code,
    Job,
    Ledger,
    LookPlan,
    Provenance,
    Reason,
    Run,
    Sweep,
    Variant,
    digest,
    files,
    sweep_id,
)
from tests.ledger import examples

BRANCHES = ("gated", "si_glu", "global_gated", "global_mixed", "global_channel", "local", "interaction", "previous")
EFFECTS = dict(zip(BRANCHES, (-0.011, 0.0004, -0.004, -0.006, 0.001, -0.016, -0.002, 0.003), strict=True))
COMMITTED = Code("c0de" * 16, "1f2e3d4c" * 5, False)


@dataclass(frozen=True)
class Row:
    """A variant with the difference it is to have."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    effect: float = 0.0
    factors: Mapping[str, Any] = field(default_factory=dict)
    twin_of: str | None = None


@dataclass(frozen=True)
class Invented:
    """One ablation's invented results. `failed`: (variant, seed) → why; `pending`: (variant, seed) never begun;
    `typed`: overrides of the whole sweep. `right`: (variant, seed) → which test images the run got right, 1 or 0 each,
    in place of an invented accuracy. `looks`: the plan, for a ledger that knows of looks; `looked`: those made, in
    numbers of seeds."""

    rows: Sequence[Row]
    name: str = "branches"
    question: str = "Which branches of an SFNE block earn their keep?"
    seeds: Sequence[int] = (0, 1, 2)
    dataset: str = "digits"
    accuracy: float = 0.975
    spread: float = 0.0015
    epochs: int = 6
    failed: Mapping[tuple[str, int], tuple[Reason, str]] = field(default_factory=dict)
    pending: Iterable[tuple[str, int]] = ()
    code: Code = COMMITTED
    log: str = "epoch 1: as invented\n"
    created: float = 1_790_000_000.0
    typed: Sequence[str] = ()
    right: Mapping[tuple[str, int], Sequence[int]] = field(default_factory=dict)
    looks: LookPlan | None = None
    looked: Sequence[int] = ()

    def write(self, root: Path) -> Ledger:
        """Write runs and sweep under `root`."""
        ledger = Ledger(root)
        provenance = Provenance(self.code, "", {"python": "3.11"})
        pairs = [word.partition("=") for word in self.typed if not word.startswith("seed=")]
        typed = {key: yaml.safe_load(value) for key, _, value in pairs}
        keyed = []
        for number, row in enumerate(self.rows):
            runs = {}
            for seed in self.seeds:
                config = overridden(
                    to_plain(RunConfig(seed=seed)), {"data.name": self.dataset, **typed, **row.overrides}
                )
                run = ledger.freeze(digest({"config": config, "code": self.code.hash}), config, provenance)
                runs[seed] = run.key
                if run.result() is None:
                    self._fill(run, row, number, seed)
            keyed.append(Variant(row.name, dict(row.overrides), dict(row.factors), row.twin_of, {}, runs))
        ablation = Ablation(
            self.name, self.question, self.rows[0].name, "test_accuracy", True, 0.005, list(self.seeds), keyed
        )
        command = [
            "python", "-m", "terminator.run", "-m", f"ablation={self.name}", f"data={self.dataset}", *self.typed,
        ]  # fmt: skip
        base = [f"data={self.dataset}", "sweep.workers=2", "cluster=dev", *(f"{''.join(pair)}" for pair in pairs)]
        shown = {"settings": tuple(self.typed), "data": (self.dataset,)}
        known = examples.identified(replace(ablation, looks=self.looks))
        asked = ablation if self.looks is None else known  # older ledgers know of no looks
        ledger.write_sweep(Sweep(sweep_id([known]), self.created, command, base, self.code, [asked], **shown))
        if self.looks is not None:
            self._look(ledger, asked, self.looks)
        return ledger

    def _look(self, ledger: Ledger, ablation: Ablation, plan: LookPlan) -> None:
        looks = ledger.looks(ablation)
        looks.freeze(plan)
        results = load(ledger.root, self.name)
        values, _, higher_is_better, margin, _, resolution = judged(results, results.questions[0])
        for count in self.looked:
            seeds = ablation.first_seeds(count)
            rule = {"margin": margin, "resolution": resolution, "higher_is_better": higher_is_better}
            looks.record(take_look(plan, looks.made(), seeds, values, ablation.baseline, **rule))

    def _fill(self, run: Run, row: Row, number: int, seed: int) -> None:
        if (row.name, seed) in set(self.pending):
            return
        random = np.random.default_rng([number, seed])
        accuracy = self.accuracy + 0.002 * np.sin(seed) + row.effect + random.normal(0, self.spread)
        bits = self.right.get((row.name, seed), ())
        accuracy = sum(bits) / len(bits) if bits else accuracy
        attempt = run.begin(Job("slurm", f"77_{number}", "n1"))
        (attempt.folder / "log.txt").write_text(self.log, "utf-8")
        why = self.failed.get((row.name, seed))
        epochs = self.epochs if why is None else 1
        shares = [1 - 0.7 * float(np.exp(-4 * epoch / self.epochs)) for epoch in range(1, epochs + 1)]
        lines = [epoch_row(1 + i, share, accuracy, random.normal(0, 0.002)) for i, share in enumerate(shares)]
        # All at once: a write to the disk for every epoch of every run would take most of the tests' time.
        (attempt.folder / METRICS).write_text("".join(map(files.row_line, lines)), "utf-8")
        attempt.progress(epoch=epochs, epochs=self.epochs, step=20, steps_per_epoch=20)
        if why is not None:
            attempt.fail(*why)
            return
        if bits:
            attempt.keep_correct(np.packbits(bits).tobytes())
        parameters = 100_000 + 9_000 * number if row.effect >= 0 else 100_000 - 8_000 * number
        attempt.finish(
            {
                "test_accuracy": accuracy,
                "test_loss": 1 - accuracy,
                "validation_accuracy": accuracy + 0.004,
                "validation_loss": 0.9 - accuracy,
                "best_epoch": self.epochs,
                "epochs": self.epochs,
                "parameters": parameters,
                "flops": 40 * parameters,
                "train_seconds": 11.0 + random.uniform(),
                "images_per_second": 2_000.0 + 10 * random.uniform(),
                "peak_memory_bytes": 3.1e8,
                **({"test_images": len(bits)} if bits else {}),
            }
        )


def branches(count: int = len(BRANCHES), **changes: Any) -> Invented:
    """The full model and one variant without each of the first `count` branches."""
    effects = list(EFFECTS.items())[:count]
    without = [Row(f"no_{name}", {f"model.branches.{name}": False}, effect) for name, effect in effects]
    return replace(Invented([Row("full"), *without]), **changes)


LOOKS = Invented(
    [
        Row("full"),
        Row("no_local", {"model.branches.local": False}, -0.3),  # decided at three seeds
        Row("no_gated", {"model.branches.gated": False}, 0.002),  # undecided at five
    ],
    seeds=range(5),
    spread=0.006,
    looks=LookPlan(),
    looked=(3, 5),
)


FOUR_IMAGES = Invented(
    [Row("full"), Row("no_local", {"model.branches.local": False})],
    seeds=range(2),
    right={
        ("full", 0): (1, 1, 1, 0),
        ("full", 1): (1, 1, 1, 0),
        ("no_local", 0): (1, 1, 0, 1),
        ("no_local", 1): (1, 0, 0, 1),
    },
)


def summarized(invented: Invented, root: Path) -> tuple[Results, Summary]:
    """The results once they are written under `root`, and the summary of the newest sweep."""
    invented.write(root)
    results = load(root)
    return results, summarize(results, results.questions[0])


def overridden(config: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with dotted keys set."""
    for key, value in overrides.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            place = place[part]
        place[last] = value
    return config


def epoch_row(epoch: int, share: float, accuracy: float, noise: float) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    reached = share * (accuracy + noise)
    return {
        "epoch": epoch,
        "step": 20 * epoch,
        "time": time.time(),
        "lr": 1e-3,
        "train_loss": 1.2 - reached,
        "train_cross_entropy": 1.1 - reached,
        "train_slow_loss": 0.05,
        "train_penalty": 0.01,
        "train_accuracy": reached,
        "validation_loss": 1.15 - reached,
        "validation_accuracy": reached,
        "epoch_seconds": 1.0,
    }
