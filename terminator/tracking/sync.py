"""One idempotent sync from the ledger to MLflow."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from terminator.errors import FULL, NO_RIGHTS
from terminator.ledger import Cell, Ledger, Result, Run, RunState, Spec, Status, Sweep, files
from terminator.text import counted
from terminator.tracking import parents
from terminator.tracking.store import (
    Place,
    Point,
    Store,
    StoredRun,
    ablation_tags,
    as_text,
    is_damage,
    read_runs,
    status_of,
)
from terminator.tracking.uri import default_uri, sqlite_path

LONGEST_PARAMETER = 6000  # MLflow's limit; the artifact spec.json holds the whole value
SECONDS_FOR_LOCK = 30.0
# MLflow's codes for a request that is at fault itself: the next run's may be in order.
BAD_REQUESTS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "RESOURCE_DOES_NOT_EXIST")
log = logging.getLogger(__name__)


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


class Entry(NamedTuple):
    """One MLflow run: a run of the ledger in its place in an ablation. One shared by two ablations has two entries."""

    store: str  # its tracking URI
    sweeps: list[Sweep]  # that hold the place, the newest first: it counts
    cell: Cell

    @property
    def place(self) -> Place:
        """What tells it from the others."""
        return Place(self.cell.ablation.name, self.cell.key, self.cell.variant.name, str(self.cell.seed))

    @property
    def name(self) -> str:
        """`variant/seed`."""
        return f"{self.cell.variant.name}/{self.cell.seed}"


class _Update(NamedTuple):
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
    """Bring MLflow up to date with `sweeps` (None: with all), at `uri` (None: each sweep's own store).

    `runs`: with those of these keys only. Waits up to `patience` seconds for another sync. Raises nothing on MLflow's
    account: a store that is slow, locked or not there is the report's problem.
    """
    report = SyncReport()
    todo = entries(ledger, sweeps, uri, runs=runs)
    for store in dict.fromkeys(entry.store for entry in todo):
        try:
            for written in _sync_store(ledger, store, [entry for entry in todo if entry.store == store], patience):
                report += written
        except Exception as error:  # whatever it is, it must not take down what is being tracked
            why = f"damaged ({_why(error)}): move it away, and everything returns" if is_damage(error) else _why(error)
            report += SyncReport(problem=f"{store}: {why}")
    return report


def entries(
    ledger: Ledger, sweeps: Iterable[Sweep] | None = None, uri: str | None = None, *, runs: Collection[str] = ()
) -> list[Entry]:
    """The entries of the runs of `sweeps`, None for all there are. Of the sweeps that hold a place the newest counts.

    `uri`: a store other than the sweeps' own, for untracked sweeps too. `runs`: of these keys only.
    """
    chosen = ledger.sweeps() if sweeps is None else sweeps
    wanted = {cell.key for sweep in chosen for cell in sweep.cells() if not runs or cell.key in runs}
    found: dict[tuple[str, Place], Entry] = {}
    for sweep in ledger.sweeps():
        if sweep.tracked or uri is not None:
            store = uri or sweep.tracking_uri or default_uri(ledger.root)
            for entry in (Entry(store, [], cell) for cell in sweep.cells() if cell.key in wanted):
                found.setdefault((store, entry.place), entry).sweeps.append(sweep)
    return list(found.values())


def _sync_store(ledger: Ledger, uri: str, todo: list[Entry], patience: float) -> Iterator[SyncReport]:
    # Opening a store imports mlflow, which takes seconds: of a file only if there is something to write, of any other
    # before others have to wait.
    store = None if sqlite_path(uri) else Store(ledger.root, uri)
    with _one_at_a_time(ledger.root / ".sync.lock", patience):
        sweeps = {sweep.id: sweep for entry in todo for sweep in entry.sweeps}
        experiments = {entry.place.experiment for entry in todo} | {parents.home(sweep) for sweep in sweeps.values()}
        stored = read_runs(uri, experiments, details=False, deleted=True)
        known = {run.place: run for run in reversed(stored) if not run.is_sweep}  # of several in one place, the oldest
        of_sweeps = {run.tags["sweep"]: run for run in reversed(stored) if run.is_sweep}
        states: dict[str, Status] = {}
        for entry in todo:
            run, mine = ledger.run(entry.cell.key), known.get(entry.place)
            try:
                states[run.key] = status = run.state()
                if status.state is RunState.pending:
                    continue  # there is nothing of it yet
                update = _update(entry, run, status, mine, of_sweeps)
            except Exception as error:  # something is wrong with this run's files: the others' may be in order
                yield SyncReport(problem=f"{entry.name}: {_why(error)}")
                continue
            if update is None:
                yield SyncReport(unchanged=1)
                continue
            store = store or Store(ledger.root, uri)
            try:
                for sweep in entry.sweeps:
                    if sweep.id not in of_sweeps:
                        of_sweeps[sweep.id] = parents.create(store, sweep)
                update.tags["mlflow.parentRunId"] = of_sweeps[entry.sweeps[0].id].run_id
                _write(store, entry, run, status, mine, update)
            except Exception as error:
                if getattr(error, "error_code", "") not in BAD_REQUESTS:
                    raise  # MLflow itself is in trouble: the others would fare no better
                yield SyncReport(problem=f"{entry.name}: {_why(error)}")
            else:
                yield SyncReport(runs=1, points=len(update.points))
        for name in sweeps.keys() & of_sweeps.keys():
            keys, own = sweeps[name].keys(), of_sweeps[name]
            of_it = [states[key] for key in keys if key in states]
            if len(of_it) == len(keys) and not parents.is_current(ledger, sweeps[name], of_it, own):
                parents.write(store := store or Store(ledger.root, uri), ledger, sweeps[name], of_it, own)


@contextmanager
def _one_at_a_time(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock on `path`: MLflow has no way to make a run only if it isn't there. Raises TimeoutError."""
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(files.lock_file(path), timeout=patience))
        except Timeout:
            raise TimeoutError(f"another process is syncing ({path} is locked)") from None
        except OSError as error:
            if error.errno in (*FULL, *NO_RIGHTS):
                raise
            # Some cluster file systems have no locks: tracking without one is better than none.
            log.warning("%s: no file locks here (%s): do not sync from two processes at once", path, error.strerror)
        yield


def _update(
    entry: Entry, run: Run, status: Status, mine: StoredRun | None, of_sweeps: Mapping[str, StoredRun]
) -> _Update | None:
    """What there is to write; None if nothing, or if the user has deleted the run in MLflow."""
    if mine and mine.deleted:
        return None
    tags, stands = run_tags(entry, run.spec(), status), status_of(status)
    had = mine.tags if mine else {}
    parent = of_sweeps.get(entry.sweeps[0].id)
    nested = parent is not None and had.get("mlflow.parentRunId") == parent.run_id
    same = nested and mine is not None and mine.status == stands and tags.items() <= had.items() and "epoch" in had
    if same and status.state is not RunState.running:
        return None
    rows = run.metrics()
    # A run that began anew repeats epochs with the same values at other times: MLflow keeps the points it has.
    seen = int(had.get("epoch", 0))
    points = [point for row in rows if row["epoch"] > seen for point in curve_points(row)]
    result = run.result()
    if result is not None and (had.get("state"), had.get("attempt")) != (tags["state"], tags["attempt"]):
        points += final_points(result, rows)
    if same and not points:
        return None
    return _Update({**tags, "epoch": str(max([seen, *(row["epoch"] for row in rows)]))}, stands, points)


def _write(store: Store, entry: Entry, run: Run, status: Status, mine: StoredRun | None, update: _Update) -> None:
    began = next((attempt.started for attempt in run.attempts() if attempt.started is not None), None)
    ended = None if status.state is RunState.running else status.updated
    identity = entry.place._asdict()
    experiment, question = identity.pop("experiment"), entry.cell.ablation.question
    own = mine or store.create(experiment, entry.name, identity, question, _milliseconds(began))
    parameters: dict[str, str] = {}
    if "epoch" not in own.tags:
        spec = run.spec()
        parameters = run_parameters(spec.config)
        if mine is not None:  # a sync that died halfway has begun it
            parameters = store.lacks(own.run_id, parameters)
        data = spec.config.get("data", {})
        source = data.get("folder") or data.get("repository") or data.get("format", "")
        store.add_dataset(own.run_id, str(data.get("name", "")), spec.data_fingerprint or "unknown", {"uri": source})
        store.add_file(own.run_id, run.folder / "spec.json")
    store.log(own.run_id, update.points, update.tags, parameters)
    if mine is None or mine.status != update.status:
        store.set_status(own.run_id, update.status, _milliseconds(ended))


def run_tags(entry: Entry, spec: Spec, status: Status) -> dict[str, str]:
    """All tags but `epoch`, the last epoch whose metrics MLflow has."""
    commit = spec.code.commit or "none"
    identity = entry.place._asdict()
    del identity["experiment"]
    return {
        **identity,
        **ablation_tags(entry.cell.ablation),
        "state": status.state.value,
        "reason": status.reason.value if status.reason else "",
        "attempt": str(status.attempt),
        "sweep": entry.sweeps[0].id,
        **{parents.membership(sweep): "true" for sweep in entry.sweeps},
        **parents.source_tags(entry.sweeps[0]),
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
            text = as_text(value)
            whole = len(text) <= LONGEST_PARAMETER
            flat[f"{prefix}{name}"] = text if whole else f"{text[: LONGEST_PARAMETER - 6]} (cut)"
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


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _why(error: BaseException) -> str:
    """The first line of an error's root, which says `Connection refused` where mlflow says a paragraph."""
    while root := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        error = root
    line = (str(error).strip() or "?").splitlines()[0][:200]
    return line if " " in line else f"{type(error).__name__}: {line}"
