"""Results from an MLflow store or server alone: ours, or someone else's."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from analysis.mlflow_runs import StoredRun, read_runs
from analysis.results import Question, Results, Words, frames, words
from terminator.errors import UserError

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
