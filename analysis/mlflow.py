"""Results from an MLflow store alone, our own or somebody else's, and links from results to their runs in MLflow."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from terminator.analysis.results import OneOrMany, Question, Results, as_list, frames
from terminator.errors import UserError
from terminator.ledger import Ablation, Code, Sweep, Variant
from terminator.tracking.store import (
    StoredRun,
    ablation_fields,
    read_runs,
    state_of,
)
from terminator.tracking.uri import checked_uri, default_uri, is_server, sqlite_path

LOCAL_UI = "http://127.0.0.1:5000"  # where `mlflow ui` shows a sqlite file
log = logging.getLogger(__name__)
UNKNOWN: dict[str, Any] = {"metric": "test_accuracy", "higher_is_better": True, "smallest_effect": 0.005}


def load_mlflow(
    tracking_uri: str,
    ablations: OneOrMany | None = None,
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
    wanted = None if ablations is None else as_list(ablations)
    stored = _read(tracking_uri, wanted)
    known = list(dict.fromkeys(run.experiment for run in stored))
    for name in wanted or ():
        if name not in known:
            there = ", ".join(dict.fromkeys(run.experiment for run in _read(tracking_uri, details=False))) or "none"
            raise UserError(f"ablation={name}: no runs in {tracking_uri}; there are: {there}")
    given = {
        "baseline": baseline,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "smallest_effect": smallest_effect,
    }
    given = {field: value for field, value in given.items() if value is not None}
    rows: list[dict[str, object]] = []
    curves: list[dict[str, object]] = []
    questions = []
    for name in wanted or known:
        for sweep, own in _newest_sweeps([run for run in stored if run.experiment == name], datasets):
            ablation = _ablation(name, own, given)
            questions.append(Question(ablation, Sweep(sweep, 0.0, [], [], Code("", None, False), [ablation])))
            repeated = {key for run in own for key, points in run.curves.items() if len(points) > 1}
            for run in own:
                facts = {**_facts(run), "ablation": name, "sweep": sweep, "link": _link(tracking_uri, run)}
                rows.append({**_final(run, repeated), **facts, "is_baseline": facts["variant"] == ablation.baseline})
                place = {column: facts[column] for column in ("ablation", "variant", "seed", "key", "dataset")}
                curves += [{**epoch, **place} for epoch in _epochs(run, repeated)]
    runs, epochs = frames(rows, curves)
    return Results(tuple(questions), runs, epochs, tracking_uri)


def linked(results: Results, root: Path) -> Results:
    """The results with a link to each run in MLflow. What MLflow lacks, or a store that is not there, has none; of one
    that cannot be read a warning says so."""
    links: dict[tuple[str, ...], str] = {}
    for ablation, sweep, *_ in results.questions:
        uri = sweep.tracking_uri or default_uri(root)
        try:
            links |= {run.place: _link(uri, run) for run in _read(uri, [ablation.name], details=False)}
        except UserError as error:
            path = sqlite_path(uri)
            if sweep.tracked and (path is None or path.exists()):
                log.warning("%s: the page has no links to its runs", error)
    runs = results.runs
    places = zip(runs["ablation"], runs["key"], runs["variant"], runs["seed"].astype(str), strict=True)
    known = [links.get(place, link) for place, link in zip(places, runs["link"], strict=True)]
    return replace(results, runs=runs.assign(link=known))


def _read(uri: str, experiments: Collection[str] | None = None, *, details: bool = True) -> list[StoredRun]:
    """The training runs of `read_runs`, its errors as UserError."""
    uri = checked_uri(uri) or uri
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        raise UserError(f"tracking_uri={uri}: no such file")
    try:
        return [run for run in read_runs(uri, experiments, details=details) if not run.is_sweep]
    except Exception as error:  # sqlite's, MLflow's, or one of the libraries' that MLflow uses
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"tracking_uri={uri}: cannot be read as an MLflow store ({why})") from None


def _link(uri: str, run: StoredRun) -> str:
    server = uri.rstrip("/") if is_server(uri) else LOCAL_UI
    return f"{server}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def _ablation(name: str, runs: Sequence[StoredRun], given: dict[str, Any]) -> Ablation:
    """The ledger's record of an ablation, from what its runs' tags and `given` say; the usual where they do not."""
    variants = list(dict.fromkeys(map(_variant, runs)))
    if given.get("baseline", variants[0]) not in variants:
        raise UserError(f"baseline={given['baseline']}: no variant of {name}; choose from {', '.join(variants)}")
    fields = {**UNKNOWN, "baseline": "full" if "full" in variants else variants[0]}
    fields |= next((found for run in runs if "run_key" in run.tags and (found := ablation_fields(run.tags))), {})
    if given.get("metric", fields["metric"]) != fields["metric"]:  # whose direction and effect are not this one's
        fields |= UNKNOWN
    fields |= {"seeds": sorted(set(map(_seed, runs))), "variants": [Variant(each) for each in variants]}
    return Ablation(name=name, question="", **fields | given)


def _newest_sweeps(
    runs: Sequence[StoredRun], datasets: Collection[str] | None
) -> Iterator[tuple[str, list[StoredRun]]]:
    """The newest sweep, or with `datasets` the newest on each of them; runs that name no sweep count as one."""
    newest: dict[str | None, str] = {}
    for run in runs:  # oldest first
        if datasets is None or _dataset(run) in datasets:
            newest[None if datasets is None else _dataset(run)] = run.tags.get("sweep", "")
    for sweep in dict.fromkeys(newest.values()):
        yield sweep, [run for run in runs if run.tags.get("sweep", "") == sweep]


def _facts(run: StoredRun) -> dict[str, Any]:
    commit, _, changes = run.tags.get("commit", run.tags.get("mlflow.source.git.commit", "")).partition("+")
    attempt = run.tags.get("attempt", "")
    return {
        "variant": _variant(run),
        "seed": _seed(run),
        "key": run.tags.get("run_key") or run.run_id,
        "state": run.tags.get("state") or state_of(run.status),
        "reason": run.tags.get("reason") or None,
        "dataset": _dataset(run),
        "model": run.parameters.get("model.architecture") or run.parameters.get("model"),
        "commit": commit if commit not in ("", "none") else None,
        "dirty": bool(changes),
        "code_hash": run.tags.get("code"),
        "attempts": int(attempt) if attempt.isdigit() else None,
        "finished": run.ended,
        "config": _config(run.parameters),
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


def _dataset(run: StoredRun) -> str | None:
    return run.tags.get("dataset") or run.parameters.get("data.name") or run.parameters.get("dataset")


def _seed(run: StoredRun) -> int:
    seed = run.tags.get("seed") or run.parameters.get("seed") or "0"
    try:
        return int(seed)
    except ValueError:
        raise UserError(f"seed={seed}: run {run.run_id} of {run.experiment}: a seed must be a whole number") from None


def _config(parameters: dict[str, str]) -> dict[str, Any]:
    """Parameters as a configuration: `model.gate` under `model`; JSON values as they were."""
    config: dict[str, Any] = {}
    for key, text in parameters.items():
        *groups, last = key.split(".")
        place: Any = config
        for group in groups:
            place = place.setdefault(group, {}) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = _value(text)
    return config


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
