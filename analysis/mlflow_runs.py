"""The runs in an MLflow store: a sqlite file by read-only SQL, any other by MLflow's client."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis.results import Results
from terminator.errors import UserError
from terminator.tracking.uri import checked_uri, default_uri, is_server, sqlite_path

LOCAL_UI = "http://127.0.0.1:5000"  # where `mlflow ui` shows a sqlite file
RUNS_PER_PAGE = 1000


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow has it. `curves`: metric → (step, value), in the order of the steps; times in seconds."""

    run_id: str
    experiment_id: str
    experiment: str
    name: str
    status: str
    started: float | None
    ended: float | None
    link: str
    tags: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


def read_runs(uri: str, experiments: Iterable[str] | None = None, *, curves: bool = True) -> list[StoredRun]:
    """The active runs of `experiments` (default: of all), oldest first. `curves=False` leaves their metrics out.

    Raises UserError where the store cannot be read.
    """
    wanted = None if experiments is None else set(experiments)
    uri = checked_uri(uri) or uri
    path = sqlite_path(uri)
    if path is not None:
        if not path.exists():
            raise UserError(f"tracking_uri={uri}: no such file")
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                return read_by_sql(database, wanted, curves)
        except sqlite3.Error as error:
            raise UserError(f"tracking_uri={uri}: cannot be read as an MLflow store ({error})") from None
    return list(read_by_client(uri, wanted, curves))


def linked(results: Results, root: Path) -> Results:
    """The results with a link to each run in MLflow. What MLflow lacks, or a store that is not there, has none."""
    links: dict[tuple[str, str, str, str], str] = {}
    for question in results.questions:
        try:
            stored = read_runs(question.tracking_uri or default_uri(root), [question.name], curves=False)
        except UserError:
            continue
        for run in stored:
            tags = run.tags
            links[run.experiment, tags.get("run_key", ""), tags.get("variant", ""), tags.get("seed", "")] = run.link
    runs = results.runs.copy()
    places = zip(runs["ablation"], runs["key"], runs["variant"], runs["seed"].astype(str), strict=True)
    runs["link"] = [links.get(place, link) for place, link in zip(places, runs["link"], strict=True)]
    return replace(results, runs=runs)


def read_by_sql(database: sqlite3.Connection, wanted: set[str] | None, curves: bool) -> list[StoredRun]:
    """`read_runs` from MLflow's database: curves come much faster than by its client. Raises sqlite3.Error."""
    rows = database.execute(
        "select run_uuid, runs.experiment_id, experiments.name, runs.name, status, start_time, end_time from runs "
        "join experiments on runs.experiment_id = experiments.experiment_id "
        "where runs.lifecycle_stage = 'active' and experiments.lifecycle_stage = 'active' order by start_time"
    )
    found = {
        row[0]: StoredRun(
            row[0], str(row[1]), row[2], row[3] or "", row[4], _seconds(row[5]), _seconds(row[6]),
            _link(LOCAL_UI, str(row[1]), row[0]),
        )
        for row in rows
        if wanted is None or row[2] in wanted
    }  # fmt: skip
    for run_id, key, value in database.execute("select run_uuid, key, value from tags"):
        if run_id in found:
            found[run_id].tags[key] = value
    for run_id, key, value in database.execute("select run_uuid, key, value from params"):
        if run_id in found:
            found[run_id].parameters[key] = value
    if curves:
        points = "select run_uuid, key, step, value from metrics where is_nan = 0 order by step, timestamp"
        histories: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        for run_id, key, step, value in database.execute(points):
            histories[run_id][key][step] = value  # of several values at a step, the last
        for run_id in found.keys() & histories.keys():
            found[run_id].curves.update({key: list(by.items()) for key, by in histories[run_id].items()})
    return list(found.values())


def read_by_client(uri: str, wanted: set[str] | None, curves: bool) -> Iterator[StoredRun]:
    """`read_runs` from any store that MLflow knows. Raises UserError where it is not to be reached."""
    # By default MLflow tries for minutes to reach a server that is not there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(uri)
        for experiment in client.search_experiments():
            if wanted is None or experiment.name in wanted:
                yield from _of_experiment(client, uri, experiment, curves)
    except MlflowException as error:
        raise UserError(f"tracking_uri={uri}: {str(error).splitlines()[0]}") from None


def _of_experiment(client: Any, uri: str, experiment: Any, curves: bool) -> Iterator[StoredRun]:
    token = None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], max_results=RUNS_PER_PAGE, order_by=["attributes.start_time"], page_token=token
        )
        for run in page:
            run_id = run.info.run_id
            yield StoredRun(
                run_id,
                str(experiment.experiment_id),
                experiment.name,
                run.info.run_name or "",
                run.info.status,
                _seconds(run.info.start_time),
                _seconds(run.info.end_time),
                _link(uri if is_server(uri) else LOCAL_UI, str(experiment.experiment_id), run_id),
                dict(run.data.tags),
                dict(run.data.params),
                {key: _history(client, run_id, key) for key in run.data.metrics} if curves else {},
            )
        token = page.token
        if not token:
            return


def _history(client: Any, run_id: str, key: str) -> list[tuple[int, float]]:
    points = sorted(client.get_metric_history(run_id, key), key=lambda point: (point.step, point.timestamp))
    return list({point.step: point.value for point in points}.items())


def _link(server: str, experiment_id: str, run_id: str) -> str:
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
