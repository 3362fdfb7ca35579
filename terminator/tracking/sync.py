"""One idempotent sync from the ledger to MLflow."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from terminator.ledger import Ablation, Ledger, Reason, Result, Run, RunState, Spec, Status, Sweep
from terminator.text import counted
from terminator.tracking.known import Known, Place, read_known
from terminator.tracking.lock import only_one
from terminator.tracking.uri import default_uri, sqlite_path

if TYPE_CHECKING:
    from terminator.tracking.store import Store


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


def run_tags(entry: Entry, spec: Spec, status: Status) -> dict[str, str]:
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


def run_parameters(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """The configuration, flat: `model.gate` → `rgu`. Lists as JSON; a value beyond MLflow's limit is cut."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= run_parameters(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[f"{prefix}{name}"] = (
                text if len(text) <= LONGEST_PARAMETER else f"{text[: LONGEST_PARAMETER - 6]} (cut)"
            )
    return flat


def curve_points(row: Mapping[str, Any]) -> list[Point]:
    """The points of one epoch. They carry the row's own time, so that MLflow knows a repeated point for the same."""
    return [
        Point(name, float(value), int(row["time"] * 1000), row["epoch"])
        for name, value in row.items()
        if name not in ("epoch", "step", "time") and _is_number(value)
    ]


def final_points(result: Result, rows: list[dict[str, Any]]) -> list[Point]:
    """The final metrics. One that is also a curve is that of the best epoch, and is named so: the curve stays whole."""
    curves = {point.name for row in rows for point in curve_points(row)}
    last = rows[-1]["epoch"] if rows else 0
    return [
        Point(f"best_{name}" if name in curves else name, float(value), int(result.finished * 1000), last)
        for name, value in result.metrics.items()
        if _is_number(value)
    ]


def run_times(run: Run, status: Status) -> tuple[int | None, int | None]:
    """When the run began and, unless it is under way, ended: milliseconds since 1970."""
    began = next((attempt.started for attempt in run.attempts() if attempt.started is not None), None)
    ended = None if status.state is RunState.running else status.updated
    return _milliseconds(began), _milliseconds(ended)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


SECONDS_FOR_LOCK = 30.0
# MLflow's words for a request that is at fault itself: the next run's may be in order.
BAD_REQUESTS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST")


@dataclass(frozen=True)
class SyncReport:
    """What a sync did: MLflow runs and metric points written, runs that needed nothing; what went wrong, if at all."""

    runs: int = 0
    points: int = 0
    unchanged: int = 0
    problem: str | None = None

    def __add__(self, other: SyncReport) -> SyncReport:
        problems = dict.fromkeys(filter(None, (self.problem, other.problem)))
        runs, points = self.runs + other.runs, self.points + other.points
        return SyncReport(runs, points, self.unchanged + other.unchanged, "; ".join(problems) or None)

    def __str__(self) -> str:
        done = f"{counted(self.runs + self.unchanged, 'run')} up to date, {counted(self.points, 'new point')}"
        return done if self.problem is None else f"{self.problem}; the next sync brings in the rest; {done}"


@dataclass(frozen=True)
class _Update:
    """What MLflow lacks of a run."""

    tags: dict[str, str]
    status: str
    points: list[Point]


def sync(
    ledger: Ledger,
    sweeps: Sequence[Sweep] | None,
    uri: str | None = None,
    *,
    runs: Collection[str] = (),
    patience: float = SECONDS_FOR_LOCK,
) -> SyncReport:
    """Bring MLflow up to date with the runs of `sweeps` (None: with all), at `uri` (None: each sweep's own store).

    `runs`: with those of these keys only. Waits up to `patience` seconds for another syncer. Raises nothing on MLflow's
    account: a store that is slow, locked or not there is the report's problem.
    """
    report = SyncReport()
    todo = entries(ledger, sweeps, uri, runs=runs)
    for store in dict.fromkeys(entry.store for entry in todo):
        try:
            for written in _sync_store(ledger, store, [entry for entry in todo if entry.store == store], patience):
                report += written
        except Exception as error:  # whatever it is, it must not take down what is being tracked
            report += SyncReport(problem=f"{store}: {_why(error)}")
    return report


def _sync_store(ledger: Ledger, uri: str, todo: list[Entry], patience: float) -> Iterator[SyncReport]:
    path = sqlite_path(uri)
    # Importing mlflow takes seconds: for a file only if there is something to write, else before others have to wait.
    store = None if path else _open(ledger, uri)
    with only_one(ledger.root / ".sync.lock", patience):
        known = store.known({entry.experiment for entry in todo}) if store else read_known(path) if path else {}
        yield from _sync_runs(ledger, uri, todo, known, store)


def _sync_runs(
    ledger: Ledger, uri: str, todo: list[Entry], known: dict[Place, Known], store: Store | None
) -> Iterator[SyncReport]:
    for entry in todo:
        run, mine = ledger.run(entry.key), known.get(entry.place)
        try:
            status = run.state()
            if status.state is RunState.pending:
                continue  # it has nothing to say yet
            update = _update(entry, run, status, mine)
        except Exception as error:  # something is wrong with this run's files: the others' may be in order
            yield SyncReport(problem=f"{entry.name}: {_why(error)}")
            continue
        if update is None:
            yield SyncReport(unchanged=1)
            continue
        store = store or _open(ledger, uri)
        try:
            _write(store, entry, run, status, mine, update)
        except Exception as error:
            if getattr(error, "error_code", "") not in BAD_REQUESTS:
                raise  # MLflow itself is in trouble: the others would fare no better
            yield SyncReport(problem=f"{entry.name}: {_why(error)}")
        else:
            yield SyncReport(runs=1, points=len(update.points))


def _open(ledger: Ledger, uri: str) -> Store:
    from terminator.tracking.store import Store

    return Store(ledger.root, uri)


def _update(entry: Entry, run: Run, status: Status, mine: Known | None) -> _Update | None:
    """What there is to write; None if nothing, or if the user has deleted the run in MLflow."""
    if mine and mine.deleted:
        return None
    tags, word = run_tags(entry, run.spec(), status), mlflow_status(status)
    had = mine.tags if mine else {}
    same = mine is not None and mine.status == word and tags.items() <= had.items() and "epoch" in had
    if same and status.state is not RunState.running:
        return None
    rows = run.metrics()
    points = _new_points(rows, run.result(), status, had)
    if same and not points:
        return None
    epoch = max([int(had.get("epoch", 0)), *(row["epoch"] for row in rows)])
    return _Update({**tags, "epoch": str(epoch)}, word, points)


def _new_points(
    rows: list[dict[str, Any]], result: Result | None, status: Status, had: Mapping[str, str]
) -> list[Point]:
    """The points that MLflow lacks.

    A run that began anew repeats epochs with the same values at other times: MLflow keeps the points it has.
    """
    seen = int(had.get("epoch", 0))
    points = [point for row in rows if row["epoch"] > seen for point in curve_points(row)]
    if result is not None and (had.get("state"), had.get("attempt")) != (status.state.value, str(status.attempt)):
        points += final_points(result, rows)
    return points


def _write(store: Store, entry: Entry, run: Run, status: Status, mine: Known | None, update: _Update) -> None:
    began, ended = run_times(run, status)
    run_id = mine.run_id if mine else store.create(entry, began)
    if mine is None or "epoch" not in mine.tags:
        store.set_up(run_id, run_parameters(run.spec().config), [run.folder / "spec.json"])
    store.log(run_id, update.points, update.tags)
    if mine is None or mine.status != update.status:
        store.set_status(run_id, update.status, ended)


def _why(error: BaseException) -> str:
    """The first line of an error's root, which says `Connection refused` where mlflow says a paragraph."""
    while root := error.__cause__ or error.__context__:
        error = root
    said = (str(error).strip() or "?").splitlines()[0][:200]
    return said if " " in said else f"{type(error).__name__}: {said}"
