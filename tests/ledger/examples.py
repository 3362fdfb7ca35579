"""A small sweep as the planner freezes it, and attempts at its runs as the trainer records them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from terminator.ledger import (
    Ablation,
    Attempt,
    Code,
    Ledger,
    Provenance,
    Run,
    Sweep,
    Variant,
    ablation_id,
    digest,
    sweep_id,
)

EPOCHS = 3


def sweep(
    ledger: Ledger,
    *ablations: str,
    created: float = 1.0,
    uri: str | None = None,
    tracked: bool = True,
    code: str = "c0de",
) -> Sweep:
    """`full` and `no_local`, two seeds each, in every ablation: four runs."""
    origin = Provenance(Code(code, "1f2e", False), "", {"python": "3.11"})
    variants = []
    for name, local in (("full", True), ("no_local", False)):
        runs = {}
        for seed in (0, 1):
            config = {"model": {"local": local, "kernels": [3, 5]}, "data": {"name": "digits"}, "seed": seed}
            runs[seed] = ledger.freeze(digest({**config, "code": code}), config, origin).key
        variants.append(Variant(name, {} if local else {"model.local": False}, runs=runs))
    asked = ("Why?", "full", "test_accuracy", True, 0.005, [0, 1], variants)
    planned = [identified(Ablation(name, *asked)) for name in ablations]
    made = Sweep(
        sweep_id(planned), created, ["python"], ["data=digits"], origin.code, planned, uri, tracked, data=("digits",)
    )
    ledger.write_sweep(made)
    return made


def identified(ablation: Ablation) -> Ablation:
    """The ablation with an id that its variants' first runs come to."""
    firsts = {variant.name: next(iter(variant.runs.values())) for variant in ablation.variants}
    return replace(ablation, id=ablation_id(ablation, firsts))


def row(epoch: int, began: float = 1000.0) -> dict[str, Any]:
    """An epoch's row; its numbers depend on the epoch alone."""
    loss, accuracy = 1 / epoch, 1 - 1 / (epoch + 1)
    return {
        "epoch": epoch,
        "step": 20 * epoch,
        "time": began + epoch,
        "train_loss": loss,
        "validation_accuracy": accuracy,
    }


def train(run: Run, first: int = 1, last: int = EPOCHS) -> Attempt:
    """An attempt that has done the epochs from `first` to `last` and is still open."""
    attempt = run.begin()
    for epoch in range(first, last + 1):
        attempt.log_epoch(row(epoch))
        attempt.progress(epoch=epoch, epochs=EPOCHS, step=0, steps_per_epoch=20)
    (attempt.folder / "log.txt").write_text("".join(f"epoch {epoch}\n" for epoch in range(first, last + 1)))
    return attempt


def finish(run: Run) -> None:
    """A whole run."""
    train(run).finish({"test_accuracy": 0.75, "validation_accuracy": 0.75, "parameters": 100, "epochs": EPOCHS})


def finish_all(ledger: Ledger, planned: Sweep) -> None:
    """Every run of a sweep."""
    for run in map(ledger.run, planned.keys()):
        finish(run)
