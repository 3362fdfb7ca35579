"""One idempotent sync from the ledger to MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from terminator.errors import UserError
from terminator.ledger import Ledger, Result, Run, RunState, Status, Sweep
from terminator.tracking import entries
from terminator.tracking.entries import Entry, Point
from terminator.tracking.lock import only_one

if TYPE_CHECKING:
    from mlflow.entities import Run as Known

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
        done = f"{self.runs} runs and {self.points} points written, {self.unchanged} runs up to date"
        return done if self.problem is None else f"{done}; {self.problem}; the next sync brings in the rest"


def sync(
    ledger: Ledger,
    sweeps: Sequence[Sweep] | None,
    uri: str | None = None,
    *,
    patience: float = SECONDS_FOR_LOCK,
) -> SyncReport:
    """Bring MLflow up to date with the runs of `sweeps` (None: with all), at `uri` (None: each sweep's own store).

    Waits up to `patience` seconds for another syncer. Raises nothing on MLflow's account: a store that is slow, locked
    or not there is the report's problem.
    """
    report = SyncReport()
    todo = entries.entries(ledger, sweeps, uri)
    for store in dict.fromkeys(entry.store for entry in todo):
        try:
            with only_one(ledger.root / ".sync.lock", patience):
                for written in _sync_store(ledger, store, [entry for entry in todo if entry.store == store]):
                    report += written
        except Exception as error:  # whatever it is, it must not take down what is being tracked
            report += SyncReport(problem=f"{store or ledger.root / 'mlflow.db'}: {_why(error)}")
    return report


def _sync_store(ledger: Ledger, uri: str | None, todo: list[Entry]) -> Iterator[SyncReport]:
    from terminator.tracking.store import Store

    store = Store(ledger.root, uri)
    for name in dict.fromkeys(entry.experiment for entry in todo):
        of_experiment = [entry for entry in todo if entry.experiment == name]
        experiment = store.experiment(name, of_experiment[0].question)
        known = _known(store, experiment)
        for entry in of_experiment:
            try:
                yield _sync_run(store, experiment, entry, ledger.run(entry.key), known)
            except Exception as error:
                if not isinstance(error, UserError) and getattr(error, "error_code", "") not in BAD_REQUESTS:
                    raise
                yield SyncReport(problem=f"{entry.name}: {_why(error)}")


Identity = tuple[tuple[str, str], ...]


def _known(store: Store, experiment: str) -> dict[Identity, Known]:
    """MLflow's runs by who they are; of several, the oldest."""
    known: dict[Identity, Known] = {}
    for run in store.runs(experiment):
        tags = run.data.tags
        known.setdefault(tuple((name, tags.get(name, "")) for name in ("run_key", "variant", "seed")), run)
    return known


def _sync_run(store: Store, experiment: str, entry: Entry, run: Run, known: dict[Identity, Known]) -> SyncReport:
    """Bring one MLflow run up to date. A run that has not begun has nothing to say."""
    status = run.state()
    if status.state is RunState.pending:
        return SyncReport()
    spec = run.spec()
    tags = entries.tags(entry, spec, status)
    mlflow_status = entries.mlflow_status(status)
    mine = known.get(tuple(entries.identity(entry).items()))
    had: dict[str, str] = mine.data.tags if mine else {}
    same = mine is not None and mine.info.status == mlflow_status and tags.items() <= had.items() and "epoch" in had
    if same and status.state is not RunState.running:
        return SyncReport(unchanged=1)
    rows = run.metrics()
    points, epoch = _new_points(rows, run.result(), status, had)
    if same and not points:
        return SyncReport(unchanged=1)
    began, ended = entries.times(run, status)
    run_id = mine.info.run_id if mine else store.create(experiment, entry.name, began, entries.identity(entry))
    if "epoch" not in had:
        store.set_up(run_id, entries.parameters(spec.config), [run.folder / "spec.json"])
    store.log(run_id, points, {**tags, "epoch": str(epoch)})
    if mine is None or mine.info.status != mlflow_status:
        store.set_status(run_id, mlflow_status, ended)
    return SyncReport(runs=1, points=len(points))


def _new_points(
    rows: list[dict[str, Any]], result: Result | None, status: Status, had: dict[str, str]
) -> tuple[list[Point], int]:
    """The points that MLflow lacks, and the last epoch it then has.

    A run that began anew repeats epochs with the same values at other times: MLflow keeps the points it has.
    """
    seen = int(had.get("epoch", 0))
    points = [point for row in rows if row["epoch"] > seen for point in entries.curve(row)]
    if result is not None and (had.get("state"), had.get("attempt")) != (status.state.value, str(status.attempt)):
        points += entries.final(result, rows)
    return points, max([seen, *(row["epoch"] for row in rows)])


def _why(error: BaseException) -> str:
    """The first line of an error's root, which says `Connection refused` where mlflow says a paragraph."""
    while root := error.__cause__ or error.__context__:
        error = root
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
