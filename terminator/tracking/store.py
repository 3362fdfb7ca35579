"""An MLflow store: what its runs say, and how they are written. The one module that imports mlflow, when it must.

A sqlite file is read by read-only SQL: a sync that has nothing to write needs no import of mlflow, which takes seconds,
and the curves of a thousand runs come many times faster than through MLflow's client.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sqlite3
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from terminator.ledger import Ablation, Reason, RunState, Status, files
from terminator.tracking.uri import SQLITE, is_server, sqlite_path

SECONDS_FOR_LOCK = 20.0
SMALLEST_DATABASE = 1 << 20  # bytes, with MLflow's tables in it
ENTITIES_PER_BATCH = 1000  # MLflow's limits
PARAMETERS_PER_BATCH = 100
RESULTS_PER_PAGE = 1000
LONGEST_DIGEST = 36
LONGEST_TAG = 8000
ENVIRONMENT = {  # read by mlflow when it is imported; what the user has set stays
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default waits minutes for a server that is not there
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

# A preempted run waits for its next start. A status read back means the first state that has it.
STATUSES = {
    RunState.pending: "SCHEDULED",
    RunState.running: "RUNNING",
    RunState.done: "FINISHED",
    RunState.failed: "FAILED",
    RunState.interrupted: "KILLED",
    RunState.preempted: "SCHEDULED",
}
STOPPED = (Reason.killed, Reason.cancelled, Reason.interrupted)  # failed, but by no fault of its own
FINAL = ("FINISHED", "FAILED", "KILLED")

# What tags say of the ablation that a run belongs to: the fields of the ledger's `Ablation`, and how each is read back.
# With the runs rather than their experiment, for there another sweep may have asked otherwise.
ABLATION_TAGS: dict[str, Callable[[str], Any]] = {
    "baseline": str,
    "metric": str,
    "higher_is_better": json.loads,
    "smallest_effect": float,
}


def is_damage(error: BaseException) -> bool:
    """Whether it tells of a sqlite file that is none, or no longer whole."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return any(type(each) is sqlite3.DatabaseError for each in chain)  # not of its subclasses: it is locked, say


def status_of(status: Status) -> str:
    """A run's state as MLflow's status."""
    stopped = status.state is RunState.failed and status.reason in STOPPED
    return STATUSES[RunState.interrupted if stopped else status.state]


def state_of(status: str) -> str:
    """MLflow's status as a run's state."""
    return next((state.value for state, known in STATUSES.items() if known == status), status.lower())


def ablation_tags(ablation: Ablation) -> dict[str, str]:
    """What an ablation asks, as tags."""
    return {name: as_text(getattr(ablation, name)) for name in ABLATION_TAGS}


def ablation_fields(tags: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an `Ablation` that `ablation_tags` wrote; those whose tag is missing are left out."""
    return {name: read(tags[name]) for name, read in ABLATION_TAGS.items() if name in tags}


def as_text(value: Any) -> str:
    """A value as a tag or a parameter: JSON, but text as it is."""
    return value if isinstance(value, str) else json.dumps(value)


PARENT = {"kind": "sweep"}  # a tag that tells the run of a sweep from those of its training runs


class Place(NamedTuple):
    """What identifies one of our runs in MLflow: its experiment, and three of its tags."""

    experiment: str
    run_key: str
    variant: str
    seed: str


class Point(NamedTuple):
    """A metric's value at the end of an epoch. `time` in milliseconds since 1970."""

    name: str
    value: float
    time: int
    epoch: int


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow has it. `curves`: metric → (step, value), in the order of the steps; times in seconds.

    `deleted`: by the user, in MLflow.
    """

    run_id: str
    experiment_id: str
    experiment: str
    name: str
    status: str
    started: float | None
    ended: float | None
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where it belongs."""
        return Place(self.experiment, *(self.tags.get(name, "") for name in Place._fields[1:]))

    @property
    def is_sweep(self) -> bool:
        """Whether it stands for a sweep, as the parent of its training runs."""
        return PARENT.items() <= self.tags.items()


def read_runs(
    uri: str, experiments: Collection[str] | None = None, *, details: bool = True, deleted: bool = False
) -> list[StoredRun]:
    """The runs of `experiments` (None: of all), oldest first; none where a sqlite file is not there.

    `details`: with their parameters and curves. `deleted`: with the deleted ones. Raises what sqlite3 or mlflow raises.
    """
    path = sqlite_path(uri)
    if path is None:
        runs = list(_read_by_client(uri, experiments, details, deleted))
    else:
        runs = _read_by_sql(path, experiments, details, deleted) if path.exists() else []
    return sorted(runs, key=lambda run: run.started or 0)


def _read_by_sql(path: Path, experiments: Collection[str] | None, details: bool, deleted: bool) -> list[StoredRun]:
    readonly = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(readonly, uri=True, timeout=SECONDS_FOR_LOCK)) as database:
        rows = database.execute(
            "select run_uuid, experiment_id, experiments.name, runs.name, status, start_time, end_time, "
            "runs.lifecycle_stage != 'active', experiments.lifecycle_stage != 'active' "
            "from runs join experiments using (experiment_id)"
        )
        found = {
            row[0]: StoredRun(
                row[0], str(row[1]), row[2], row[3] or "", row[4], _seconds(row[5]), _seconds(row[6]), bool(row[7])
            )
            for row in rows
            if (experiments is None or row[2] in experiments) and (deleted or not (row[7] or row[8]))
        }
        for run_id, key, value in database.execute("select run_uuid, key, value from tags"):
            if run_id in found:
                found[run_id].tags[key] = value
        if details:
            for run_id, key, value in database.execute("select run_uuid, key, value from params"):
                if run_id in found:
                    found[run_id].parameters[key] = value
            points = "select run_uuid, key, step, value from metrics where is_nan = 0 order by step, timestamp"
            curves: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
            for run_id, key, step, value in database.execute(points):
                curves[run_id][key][step] = value  # of several values at a step, the last
            for run_id in found.keys() & curves.keys():
                found[run_id].curves.update({key: list(by_step.items()) for key, by_step in curves[run_id].items()})
    return list(found.values())


def _read_by_client(uri: str, experiments: Collection[str] | None, details: bool, deleted: bool) -> Iterator[StoredRun]:
    client = _mlflow().MlflowClient(uri)
    views = _mlflow("mlflow.entities").ViewType
    view = views.ALL if deleted else views.ACTIVE_ONLY
    for experiment in _all_pages(client.search_experiments, view_type=view):
        if experiments is not None and experiment.name not in experiments:
            continue
        of_it = {"experiment_ids": [experiment.experiment_id], "order_by": ["attributes.start_time"]}
        for run in _all_pages(client.search_runs, run_view_type=view, **of_it):
            curves = {key: _curve(client, run.info.run_id, key) for key in run.data.metrics} if details else {}
            yield StoredRun(
                run.info.run_id,
                str(experiment.experiment_id),
                experiment.name,
                run.info.run_name or "",
                run.info.status,
                _seconds(run.info.start_time),
                _seconds(run.info.end_time),
                run.info.lifecycle_stage != "active",
                dict(run.data.tags),
                dict(run.data.params) if details else {},
                curves,
            )


def _curve(client: Any, run_id: str, key: str) -> list[tuple[int, float]]:
    points = sorted(client.get_metric_history(run_id, key), key=lambda point: (point.step, point.timestamp))
    return list({point.step: point.value for point in points}.items())


def _all_pages(search: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """All that a search of MLflow's client finds."""
    token = None
    while True:
        page = search(max_results=RESULTS_PER_PAGE, page_token=token, **arguments)
        yield from page
        if not (token := page.token):
            return


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


class Store:
    """Writes to the store at `uri`; a sqlite file is made if it isn't there. Artifacts go under `root`, except a
    server's."""

    def __init__(self, root: Path, uri: str) -> None:
        artifacts = (root / "mlflow-artifacts").as_uri()
        if path := sqlite_path(uri):
            make_database(path, artifacts)
        self._artifacts = None if is_server(uri) else artifacts
        self._uri = uri
        self._client = _mlflow().MlflowClient(uri, registry_uri=uri)
        self._entities = _mlflow("mlflow.entities")
        self._repository = _mlflow("mlflow.store.artifact.artifact_repository_registry").get_artifact_repository
        self._experiments: dict[str, str] = {}  # name → id
        self._artifacts_of: dict[str, str] = {}  # run → where its artifacts are
        gc.freeze()  # a sync makes objects by thousands, and none of the libraries' many becomes garbage by that

    def create(
        self, experiment: str, name: str, tags: Mapping[str, str], question: str, start: int | None
    ) -> StoredRun:
        """A new run. `question`: what a new experiment's description says; `start` in milliseconds since 1970."""
        if experiment not in self._experiments:
            self._experiments[experiment] = self._experiment(experiment, question)
        run = self._client.create_run(self._experiments[experiment], start_time=start, tags=tags, run_name=name)
        self._artifacts_of[run.info.run_id] = run.info.artifact_uri
        return StoredRun(
            run.info.run_id, self._experiments[experiment], experiment, name, "", None, None, tags=dict(tags)
        )

    def lacks(self, run_id: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Those of the parameters that the run does not have; those it has can't be changed."""
        known = self._client.get_run(run_id).data.params
        return {name: value for name, value in parameters.items() if name not in known}

    def log(
        self, run_id: str, points: Sequence[Point], tags: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> None:
        """Write all in as few requests as MLflow allows, and the tags in the last: they say that all is there."""
        metrics = [self._entities.Metric(point.name, point.value, point.time, point.epoch) for point in points]
        settings = [self._entities.Param(name, value) for name, value in (parameters or {}).items()]
        marks = [self._entities.RunTag(name, value) for name, value in tags.items()]
        while True:
            some, settings = settings[:PARAMETERS_PER_BATCH], settings[PARAMETERS_PER_BATCH:]
            room = ENTITIES_PER_BATCH - len(some) - len(marks)
            now, metrics = metrics[:room], metrics[room:]
            over = not (settings or metrics)
            self._client.log_batch(run_id, now, some, marks if over else [])
            if over:
                return

    def add_file(self, run_id: str, path: Path) -> None:
        """A file as an artifact."""
        self._artifacts_at(run_id).log_artifact(str(path))

    def replace_folder(self, run_id: str, folder: Path, name: str) -> None:
        """A folder as the artifacts `name`, in the place of what was there before."""
        repository = self._artifacts_at(run_id)
        if repository.list_artifacts(name):
            repository.delete_artifacts(name)
        repository.log_artifacts(str(folder), name)

    def add_dataset(self, run_id: str, name: str, digest: str, source: Mapping[str, Any]) -> None:
        """Show that the run has read a data set. `digest`: of its contents; `source`: where it comes from."""
        dataset = self._entities.Dataset(name, digest[:LONGEST_DIGEST], "local", json.dumps(source))
        context = self._entities.InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, [self._entities.DatasetInput(dataset, [context])])

    def _artifacts_at(self, run_id: str) -> Any:
        if run_id not in self._artifacts_of:
            self._artifacts_of[run_id] = self._client.get_run(run_id).info.artifact_uri
        return self._repository(self._artifacts_of[run_id], tracking_uri=self._uri)

    def set_status(self, run_id: str, status: str, ended: int | None) -> None:
        """Set a run's status, and when it ended where that is final."""
        if status in FINAL:
            self._client.set_terminated(run_id, status, ended)
        else:
            self._client.update_run(run_id, status)

    def _experiment(self, name: str, question: str) -> str:
        """The id of the experiment of that name, made or restored if need be."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = f"{self._artifacts}/{name}" if self._artifacts else None
            note = {"mlflow.note.content": question} if question else {}
            return str(self._client.create_experiment(name, location, note))
        if experiment.lifecycle_stage != "active":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)


def make_database(path: Path, artifacts: str) -> None:
    """Make MLflow's sqlite file unless it is there.

    mlflow migrates a new database in place, which breaks it when several processes do so at once. So it is made under
    another name and then linked: whoever comes second finds it whole.
    """
    if path.exists():
        return
    draft = files.temporary_path(path)
    try:
        with open(draft, "xb") as file:  # without room mlflow would try for minutes
            os.posix_fallocate(file.fileno(), 0, SMALLEST_DATABASE)
        draft.unlink()
        _mlflow("mlflow.store.tracking.sqlalchemy_store").SqlAlchemyStore(
            f"{SQLITE}{draft}", artifacts
        ).engine.dispose()
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _mlflow(module: str = "mlflow") -> Any:
    """A module of mlflow's, which takes seconds to import."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that mlflow uses what its libraries have deprecated is its own business
        imported = import_module(module)
    for noisy in ("mlflow", "alembic", "urllib3"):  # what they log comes as exceptions too
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    return imported
