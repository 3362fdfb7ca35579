"""What MLflow shall say about a run, worked out from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from terminator.ledger import Ablation, Ledger, Reason, Result, Run, RunState, Spec, Status, Sweep
from terminator.tracking.known import Place
from terminator.tracking.uri import default_uri

LONGEST_PARAMETER = 6000  # MLflow's limit; the artifact spec.json holds the whole value
STOPPED = (Reason.killed, Reason.cancelled, Reason.interrupted)


@dataclass(frozen=True)
class Entry:
    """One MLflow run: a run of the ledger in its place in an ablation. One shared by two ablations has two entries."""

    store: str  # its tracking URI
    ablation: Ablation
    variant: str
    seed: int
    key: str
    sweep: str

    @property
    def experiment(self) -> str:
        """The ablation's name."""
        return self.ablation.name

    @property
    def name(self) -> str:
        """`variant/seed`."""
        return f"{self.variant}/{self.seed}"

    @property
    def place(self) -> Place:
        """What tells it from the others."""
        return Place(self.experiment, self.key, self.variant, str(self.seed))


class Point(NamedTuple):
    """A metric's value at the end of an epoch. `time` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    epoch: int


def entries(
    ledger: Ledger, sweeps: Iterable[Sweep] | None = None, uri: str | None = None, *, runs: Collection[str] = ()
) -> list[Entry]:
    """The entries of the runs of `sweeps`, None for all there are. Of a place's sweeps the newest counts.

    `uri`: a store other than the sweeps' own, for untracked sweeps too. `runs`: of these keys only.
    """
    chosen = ledger.sweeps() if sweeps is None else sweeps
    wanted = {cell.key for sweep in chosen for cell in sweep.cells() if not runs or cell.key in runs}
    found: dict[tuple[str, Place], Entry] = {}
    for sweep in ledger.sweeps():
        if not sweep.tracked and uri is None:
            continue
        store = uri or sweep.tracking_uri or default_uri(ledger.root)
        for ablation, variant, seed, key in sweep.cells():
            if key in wanted:
                entry = Entry(store, ablation, variant.name, seed, key, sweep.id)
                found.setdefault((store, entry.place), entry)
    return list(found.values())


def mlflow_status(status: Status) -> str:
    """The state in MLflow's words. A preempted run waits for its next start."""
    if status.state is RunState.failed:
        return "KILLED" if status.reason in STOPPED else "FAILED"
    return {
        RunState.pending: "SCHEDULED",
        RunState.running: "RUNNING",
        RunState.done: "FINISHED",
        RunState.preempted: "SCHEDULED",
        RunState.interrupted: "KILLED",
    }[status.state]


def tags(entry: Entry, spec: Spec, status: Status) -> dict[str, str]:
    """All tags but `epoch`, the last epoch whose metrics MLflow has.

    What the ablation asks is with its runs, not its experiment: there another sweep may have asked otherwise.
    """
    commit = spec.code.commit or "none"
    return {
        "run_key": entry.key,
        "variant": entry.variant,
        "seed": str(entry.seed),
        "state": status.state.value,
        "reason": status.reason.value if status.reason else "",
        "attempt": str(status.attempt),
        "sweep": entry.sweep,
        "baseline": entry.ablation.baseline,
        "metric": entry.ablation.metric,
        "higher_is_better": json.dumps(entry.ablation.higher_is_better),
        "smallest_effect": json.dumps(entry.ablation.smallest_effect),
        "dataset": str(spec.config.get("data", {}).get("name", "")),
        "code": spec.code.hash,
        "commit": f"{commit}+changes" if spec.code.dirty else commit,
    }


def parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The configuration, flat: `model.gate` → `rgu`. Lists as JSON; a value beyond MLflow's limit is cut."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= parameters(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[f"{prefix}{name}"] = (
                text if len(text) <= LONGEST_PARAMETER else f"{text[: LONGEST_PARAMETER - 6]} (cut)"
            )
    return flat


def curve(row: Mapping[str, Any]) -> list[Point]:
    """The points of one epoch. They carry the row's own time, so that MLflow knows a repeated point for the same."""
    return [
        Point(name, float(value), int(row["time"] * 1000), row["epoch"])
        for name, value in row.items()
        if name not in ("epoch", "step", "time") and _is_number(value)
    ]


def final(result: Result, rows: list[dict[str, Any]]) -> list[Point]:
    """The final metrics. One that is also a curve is that of the best epoch, and is named so: the curve stays whole."""
    curves = {point.name for row in rows for point in curve(row)}
    last = rows[-1]["epoch"] if rows else 0
    return [
        Point(f"best_{name}" if name in curves else name, float(value), int(result.finished * 1000), last)
        for name, value in result.metrics.items()
        if _is_number(value)
    ]


def times(run: Run, status: Status) -> tuple[int | None, int | None]:
    """When the run began and, unless it is under way, ended: milliseconds since 1970."""
    began = next((attempt.started for attempt in run.attempts() if attempt.started is not None), None)
    ended = None if status.state is RunState.running else status.updated
    return _milliseconds(began), _milliseconds(ended)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
