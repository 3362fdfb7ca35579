"""`load`: results from a ledger, or from MLflow alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from terminator.analysis.factors import at
from terminator.analysis.mlflow import load_mlflow
from terminator.analysis.results import PLACE, OneOrMany, Question, Results, as_list, frames
from terminator.entry import typed
from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger, Run, Sweep, default_root

CONVERGENCE = "convergence_epochs"
CURVE = "validation_accuracy"
NEAR_BEST = 0.95
FEWEST_EPOCHS = 3  # in one or two, near its best may mean not yet begun to learn


def load(
    root: Path | str | None = None,
    ablations: OneOrMany | None = None,
    *,
    sweep: str | None = None,
    variant: OneOrMany | None = None,
    dataset: OneOrMany | None = None,
    state: OneOrMany | None = None,
    commit: OneOrMany | None = None,
    tracking_uri: str | None = None,
    baseline: str | None = None,
    curves: Sequence[str] | None = None,
) -> Results:
    """The results of `ablations` (default: all there are), a sweep each: `sweep` (its id or how it begins), else the
    newest one that holds the ablation, one with settings of its own (other than data and seeds) only where there is no
    other; with `dataset`, that on each of these data sets.

    `root`: the output root; default: $TERMINATOR_ROOT, else ./outputs. `tracking_uri`: read this MLflow store or server
    instead, where `baseline` names another variant to compare with; `load_mlflow` takes more. `curves`: the only ones
    to read from a ledger, which saves memory. Raises UserError, listing what there is, where an ablation or sweep has
    no results.
    """
    wanted = None if ablations is None else as_list(ablations)
    datasets = None if dataset is None else as_list(dataset)
    if tracking_uri is None and baseline is not None:
        raise UserError(f"baseline={baseline}: only with an MLflow store; in a ledger the ablation names its own")
    if tracking_uri is not None and sweep is not None:
        raise UserError(f"sweep={sweep}: only with a ledger; of an MLflow store the newest sweep is read")
    if tracking_uri is not None:
        results = load_mlflow(tracking_uri, wanted, datasets=datasets, baseline=baseline)
    else:
        results = _load_ledger(Path(root) if root is not None else default_root(), wanted, sweep, datasets, curves)
    return with_convergence(results).only(variant=variant, dataset=dataset, state=state, commit=commit)


def with_convergence(results: Results) -> Results:
    """Add `convergence_epochs`: the first epoch whose validation accuracy is 95 % of the best that the run came to.

    Runs of fewer than `FEWEST_EPOCHS` epochs have none.
    """
    epochs = results.epochs
    if CURVE not in epochs or epochs[CURVE].isna().all():
        return results
    of_run = epochs.groupby("key")
    near = epochs[CURVE] >= NEAR_BEST * of_run[CURVE].transform("max")
    reached = epochs[near & (of_run["epoch"].transform("max") >= FEWEST_EPOCHS)].groupby("key")["epoch"].min()
    return replace(results, runs=results.runs.assign(**{CONVERGENCE: results.runs["key"].map(reached)}))


def _load_ledger(
    root: Path,
    ablations: list[str] | None,
    sweep: str | None,
    datasets: list[str] | None,
    curves: Sequence[str] | None,
) -> Results:
    ledger = Ledger(root)
    sweeps = [ledger.sweep(sweep)] if sweep is not None else ledger.sweeps()
    known = sorted({ablation.name for each in sweeps for ablation in each.ablations if _has_table(ablation)})
    for name in ablations or ():
        if name not in known:
            where = f"sweep {sweep}" if sweep is not None else str(root)
            raise UserError(f"ablation={name}: no results in {where}; there are: {', '.join(known) or 'none'}")
    chosen = [each for name in ablations or known for each in _newest(ledger, sweeps, name, datasets, ablations)]
    if not chosen:
        on = f" on {', '.join(datasets)}" if datasets else ""
        raise UserError(f"root={root}: no results{on} in it; {typed('run')} -m ablation=… makes some")
    rows: list[dict[str, object]] = []
    facts: dict[str, dict[str, Any]] = {}
    for ablation, of, *_ in chosen:
        for variant in ablation.variants:
            for seed, key in variant.runs.items():
                if key not in facts:
                    facts[key] = _facts(ledger.run(key))
                place = {"ablation": ablation.name, "variant": variant.name, "seed": seed, "key": key}
                planned = {
                    "sweep": of.id,
                    "is_baseline": variant.name == ablation.baseline,
                    "twin_of": variant.twin_of,
                    "overrides": dict(variant.overrides),
                    "factors": dict(variant.factors),
                }
                rows.append({**facts[key], **place, **planned})
    kept = None if curves is None else {"epoch", *curves}
    lines = (
        {name: value for name, value in epoch.items() if kept is None or name in kept}
        | {name: row.get(name) for name in PLACE}
        for row in rows
        for epoch in ledger.run(str(row["key"])).metrics()
    )
    return Results(tuple(chosen), *frames(rows, lines), str(root))


def _newest(
    ledger: Ledger, sweeps: Sequence[Sweep], name: str, datasets: list[str] | None, asked: list[str] | None
) -> list[Question]:
    """The newest sweep with the ablation, or that on each of the data sets; on all of them if it was asked for.

    Trials come last: a run with one epoch must not take the place of the results. Sweeps without any result come after
    others of their kind: one that has just begun, or was interrupted at once, must not either.
    """
    found = [(each, sweep) for sweep in sweeps for each in sweep.ablations if each.name == name and _has_table(each)]
    holding = [_question(ledger, *pair) for pair in found]
    if len(holding) > 1:
        holding.sort(
            key=lambda question: (not question.sweep.is_comparable, not _has_result(ledger, question.ablation))
        )
    if datasets is None:
        return holding[:1]
    on: dict[str, Question] = {}
    for question in holding:
        for dataset in _datasets(ledger, question.ablation):
            on.setdefault(dataset, question)
    for dataset in datasets:
        if dataset not in on and asked is not None:
            there = ", ".join(sorted(on)) or "none"
            raise UserError(f"dataset={dataset}: {name} has no results on it; there are: {there}")
    return list({on[dataset].sweep.id: on[dataset] for dataset in datasets if dataset in on}.values())


def _has_table(ablation: Ablation) -> bool:
    """A tuning has none of its own, and what it chooses for has none before."""
    return not ablation.is_tuning and ablation.is_chosen


def _has_result(ledger: Ledger, ablation: Ablation) -> bool:
    return any(ledger.run(key).result() for variant in ablation.variants for key in variant.runs.values())


def _question(ledger: Ledger, ablation: Ablation, sweep: Sweep) -> Question:
    if not ablation.id:
        return Question(ablation, sweep)
    looks = ledger.looks(ablation)
    return Question(ablation, sweep, tuple(looks.made()), looks.plan())


def _datasets(ledger: Ledger, ablation: Ablation) -> set[str]:
    """The data sets of an ablation, from one frozen run of each variant."""
    firsts = [ledger.run(key) for variant in ablation.variants for key in list(variant.runs.values())[:1]]
    return {str(run.spec().config["data"]["name"]) for run in firsts if run.frozen()}


def _facts(run: Run) -> dict[str, Any]:
    """What is known of a run, and its final metrics."""
    status, result, log = run.state(), run.result(), run.log_path()
    facts = {
        **(result.metrics if result else {}),
        "state": status.state.value,
        "reason": status.reason.value if status.reason else None,
        "message": status.message or None,
        "attempts": status.attempts,
        "host": status.host,
        "job": f"{status.job.scheduler} {status.job.id}" if status.job else None,
        "log_path": str(log) if log else None,
        "config": {},
    }
    if result:
        facts |= {"finished": result.finished, "test_correct": run.test_correct()}
    if run.frozen():
        spec = run.spec()
        facts |= {
            "dataset": at(spec.config, "data.name"),
            "model": at(spec.config, "model.architecture"),
            "commit": spec.code.commit,
            "dirty": spec.code.dirty,
            "code_hash": spec.code.hash,
            **{name: spec.environment.get(name) for name in ("packages", "python", "cpu")},
            "config": spec.config,
        }
    return facts
