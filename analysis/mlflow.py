"""The runs in an MLflow store: a sqlite file by read-only SQL, any other by MLflow's client."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from terminator.analysis.results import Question, Results, Words, frames, words
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


# MLflow's words for how a run stands, as the ledger says it; the tag `state` of our own runs says more.
STATES = {
    "FINISHED": "done",
    "FAILED": "failed",
    "KILLED": "interrupted",
    "RUNNING": "running",
    "SCHEDULED": "pending",
}
USUAL_EFFECT = 0.005
ASKED = ("baseline", "metric", "higher_is_better", "smallest_effect")


def load_mlflow(
    tracking_uri: str,
    ablations: Words | None = None,
    *,
    datasets: Collection[str] | None = None,
    baseline: str | None = None,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    smallest_effect: float | None = None,
) -> Results:
    """The runs of the experiments `ablations` (default: all that have runs) as `analysis.load` gives them.

    A run's variant, seed and data set are its tags `variant`, `seed`, `dataset`, else its parameters of these names,
    else its name, 0, and unknown. What was asked, our runs say in tags; of others `baseline` and what follows say it
    (default: `full`, else the first variant, by test accuracy). Of several sweeps of an ablation (tag `sweep`) the
    newest counts, with `datasets` the newest on each of them. Raises UserError where the store can't be read or an
    ablation has no runs in it.
    """
    wanted = None if ablations is None else words(ablations)
    stored = read_runs(tracking_uri, wanted)
    known = list(dict.fromkeys(run.experiment for run in stored))
    for name in wanted or ():
        if name not in known:
            there = ", ".join(dict.fromkeys(run.experiment for run in read_runs(tracking_uri, curves=False))) or "none"
            raise UserError(f"ablation={name}: no runs in {tracking_uri}; there are: {there}")
    rows: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    questions = []
    for name in wanted or known:
        for sweep, own in _newest_sweeps([run for run in stored if run.experiment == name], datasets):
            question = _asked(name, sweep, own)
            if metric is not None and metric != question.metric:  # whose direction and effect are not this one's
                question = replace(question, metric=metric, higher_is_better=True, smallest_effect=USUAL_EFFECT)
            if baseline is not None and baseline not in question.variants:
                choices = ", ".join(question.variants)
                raise UserError(f"baseline={baseline}: no variant of {name}; choose from {choices}")
            said = {"baseline": baseline, "higher_is_better": higher_is_better, "smallest_effect": smallest_effect}
            question = replace(question, **_known(said))
            questions.append(question)
            repeated = {key for run in own for key, points in run.curves.items() if len(points) > 1}
            for run in own:
                place = {"ablation": name, "variant": _variant(run), "seed": _seed(run), "key": _key(run)}
                facts = {**_facts(run), "sweep": sweep, "is_baseline": _variant(run) == question.baseline}
                rows.append({**_final(run, repeated), **facts, **place})
                curves += [{**epoch, **place, "dataset": facts["dataset"]} for epoch in _epochs(run, repeated)]
    runs, epochs = frames(rows, curves)
    return Results(tuple(questions), runs, epochs, tracking_uri)


def _asked(name: str, sweep: str, runs: Sequence[StoredRun]) -> Question:
    """What the ablation asked, as its runs' tags have it; the usual question where they do not."""
    variants = tuple(dict.fromkeys(map(_variant, runs)))
    tags = next((run.tags for run in runs if {"run_key", *ASKED} <= run.tags.keys()), {})
    return Question(
        name=name,
        text="",
        baseline=tags.get("baseline") or ("full" if "full" in variants else variants[0]),
        metric=tags.get("metric", "test_accuracy"),
        higher_is_better=tags.get("higher_is_better") != "false",
        smallest_effect=float(tags.get("smallest_effect", USUAL_EFFECT)),
        seeds=tuple(sorted(set(map(_seed, runs)))),
        variants=variants,
        sweep=sweep,
    )


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _newest_sweeps(
    runs: Sequence[StoredRun], datasets: Collection[str] | None
) -> Iterator[tuple[str, list[StoredRun]]]:
    """The newest sweep, or with `datasets` the newest on each of them; runs that name no sweep count as one."""
    newest: dict[str | None, str] = {}
    for run in sorted(runs, key=lambda run: run.started or 0):
        if datasets is None or _dataset(run) in datasets:
            newest[None if datasets is None else _dataset(run)] = run.tags.get("sweep", "")
    for sweep in dict.fromkeys(newest.values()):
        yield sweep, [run for run in runs if run.tags.get("sweep", "") == sweep]


def _facts(run: StoredRun) -> dict[str, Any]:
    commit, _, changes = run.tags.get("commit", run.tags.get("mlflow.source.git.commit", "")).partition("+")
    attempt = run.tags.get("attempt", "")
    return {
        "state": run.tags.get("state") or STATES.get(run.status, run.status.lower()),
        "reason": run.tags.get("reason") or None,
        "message": None,
        "twin_of": None,
        "dataset": _dataset(run),
        "model": run.parameters.get("model.architecture") or run.parameters.get("model"),
        "commit": commit if commit not in ("", "none") else None,
        "dirty": bool(changes),
        "code_hash": run.tags.get("code"),
        "attempts": int(attempt) if attempt.isdigit() else None,
        "finished": run.ended,
        "overrides": None,
        "factors": None,
        "config": _config(run.parameters),
        "link": run.link,
    }


def _final(run: StoredRun, repeated: set[str]) -> dict[str, float]:
    """The last value of each metric. Our runs log what is a curve too as `best_…`, and their curves are no results."""
    ours = "run_key" in run.tags
    last = {key: points[-1][1] for key, points in run.curves.items() if not (ours and key in repeated)}
    best = {key.removeprefix("best_"): value for key, value in last.items() if key.removeprefix("best_") in repeated}
    return {key: value for key, value in last.items() if key.removeprefix("best_") not in best} | best


def _epochs(run: StoredRun, repeated: set[str]) -> list[dict[str, object]]:
    epochs: dict[int, dict[str, object]] = {}
    for key in repeated & run.curves.keys():
        for step, value in run.curves[key]:
            epochs.setdefault(step, {"epoch": step})[key] = value
    return [epochs[step] for step in sorted(epochs)]


def _variant(run: StoredRun) -> str:
    return run.tags.get("variant") or run.parameters.get("variant") or run.name


def _seed(run: StoredRun) -> int:
    word = run.tags.get("seed") or run.parameters.get("seed") or "0"
    try:
        return int(word)
    except ValueError:
        raise UserError(
            f"seed={word}: run {run.run_id} of {run.experiment} has a seed that is no whole number"
        ) from None


def _dataset(run: StoredRun) -> str | None:
    return run.tags.get("dataset") or run.parameters.get("data.name") or run.parameters.get("dataset")


def _key(run: StoredRun) -> str:
    return run.tags.get("run_key") or run.run_id


def _config(parameters: dict[str, str]) -> dict[str, Any]:
    """Parameters as a configuration: `model.gate` under `model`; JSON values as they were."""
    config: dict[str, Any] = {}
    for key, text in parameters.items():
        *path, last = key.split(".")
        place = config
        for part in path:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            place[last] = _value(text)
    return config


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
