"""One idempotent sync from the ledger to MLflow."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from terminator.counting import counted
from terminator.ledger import Ledger, Result, Run, RunState, Status, Sweep
from terminator.tracking import entries
from terminator.tracking.entries import Entry, Point
from terminator.tracking.known import Known, Place, read_known
from terminator.tracking.lock import only_one
from terminator.tracking.uri import sqlite_path

if TYPE_CHECKING:
    from terminator.tracking.store import Store

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
    todo = entries.entries(ledger, sweeps, uri, runs=runs)
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
    tags, word = entries.tags(entry, run.spec(), status), entries.mlflow_status(status)
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
    points = [point for row in rows if row["epoch"] > seen for point in entries.curve(row)]
    if result is not None and (had.get("state"), had.get("attempt")) != (status.state.value, str(status.attempt)):
        points += entries.final(result, rows)
    return points


def _write(store: Store, entry: Entry, run: Run, status: Status, mine: Known | None, update: _Update) -> None:
    began, ended = entries.times(run, status)
    run_id = mine.run_id if mine else store.create(entry, began)
    if mine is None or "epoch" not in mine.tags:
        store.set_up(run_id, entries.parameters(run.spec().config), [run.folder / "spec.json"])
    store.log(run_id, update.points, update.tags)
    if mine is None or mine.status != update.status:
        store.set_status(run_id, update.status, ended)


def _why(error: BaseException) -> str:
    """The first line of an error's root, which says `Connection refused` where mlflow says a paragraph."""
    while root := error.__cause__ or error.__context__:
        error = root
    said = (str(error).strip() or "?").splitlines()[0][:200]
    return said if " " in said else f"{type(error).__name__}: {said}"
