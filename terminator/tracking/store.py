"""An MLflow store: the one module that imports mlflow."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

# Set before mlflow is imported, which reads them; what the user has set stays.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default waits minutes for a server that is not there
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}.items():
    os.environ.setdefault(_name, _value)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what of its libraries mlflow uses that is deprecated is its own business
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, Run, RunTag, ViewType
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from terminator.tracking.known import Known, Place  # noqa: E402
from terminator.tracking.sync import Entry, Point  # noqa: E402
from terminator.tracking.uri import SQLITE, is_server, sqlite_path  # noqa: E402

POINTS_PER_BATCH = 1000  # MLflow's limits
PARAMETERS_PER_BATCH = 100
RUNS_PER_PAGE = 1000
OVER = ("FINISHED", "FAILED", "KILLED")

for _noisy in ("mlflow", "alembic", "urllib3"):  # their complaints come as exceptions too
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)


class Store:
    """The store at `uri`; a sqlite file is made if it isn't there. Artifacts go under `root`, except a server's."""

    def __init__(self, root: Path, uri: str) -> None:
        artifacts = (root / "mlflow-artifacts").as_uri()
        if path := sqlite_path(uri):
            make_database(path, artifacts)
        self._artifacts = None if is_server(uri) else artifacts
        self._client = MlflowClient(uri, registry_uri=uri)
        self._experiments: dict[str, str] = {}  # name → id

    def known(self, experiments: Iterable[str]) -> dict[Place, Known]:
        """The runs of these experiments; of several in one place, the oldest."""
        known: dict[Place, Known] = {}
        for name in experiments:
            experiment = self._client.get_experiment_by_name(name)
            for run in self._runs(experiment.experiment_id) if experiment else ():
                deleted = run.info.lifecycle_stage != "active"
                mine = Known(run.info.run_id, run.info.status, run.data.tags, deleted)
                known.setdefault(mine.place(name), mine)
        return known

    def create(self, entry: Entry, start: int | None) -> str:
        """A new run's id."""
        tags = entry.place._asdict()
        name = tags.pop("experiment")
        if name not in self._experiments:
            self._experiments[name] = self._experiment(name, entry.ablation.question)
        run = self._client.create_run(self._experiments[name], start_time=start, tags=tags, run_name=entry.name)
        return str(run.info.run_id)

    def set_up(self, run_id: str, parameters: Mapping[str, str], artifacts: Iterable[Path]) -> None:
        """Write what doesn't change any more: parameters (those it has can't be changed) and files."""
        known: Mapping[str, str] = self._client.get_run(run_id).data.params
        new = [Param(name, value) for name, value in parameters.items() if name not in known]
        for start in range(0, len(new), PARAMETERS_PER_BATCH):
            self._client.log_batch(run_id, params=new[start : start + PARAMETERS_PER_BATCH])
        for path in artifacts:
            self._client.log_artifact(run_id, str(path))

    def log(self, run_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> None:
        """Write points in as few requests as MLflow allows, and the tags in the last: they say that all is there."""
        metrics = [Metric(point.name, point.value, point.time, point.epoch) for point in points]
        last = max(len(metrics) - 1, 0) // POINTS_PER_BATCH * POINTS_PER_BATCH
        for start in range(0, last, POINTS_PER_BATCH):
            self._client.log_batch(run_id, metrics[start : start + POINTS_PER_BATCH])
        self._client.log_batch(run_id, metrics[last:], tags=[RunTag(name, value) for name, value in tags.items()])

    def set_status(self, run_id: str, status: str, ended: int | None) -> None:
        """Set a run's status, and when it ended where it is over."""
        if status in OVER:
            self._client.set_terminated(run_id, status, ended)
        else:
            self._client.update_run(run_id, status)

    def _experiment(self, name: str, question: str) -> str:
        """The id of the experiment of that name, made or brought back if need be."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = f"{self._artifacts}/{name}" if self._artifacts else None
            note = {"mlflow.note.content": question} if question else {}
            return str(self._client.create_experiment(name, location, note))
        if experiment.lifecycle_stage != "active":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _runs(self, experiment: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [experiment],
                run_view_type=ViewType.ALL,
                max_results=RUNS_PER_PAGE,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return


def make_database(path: Path, artifacts: str) -> None:
    """Make MLflow's sqlite file unless it is there.

    mlflow migrates a new database in place, which breaks it when several processes do so at once. So it is made under
    another name and then linked: whoever comes second finds it whole.
    """
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        store = SqlAlchemyStore(f"{SQLITE}{draft}", artifacts)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
