"""`load`: results from a ledger, or from MLflow alone."""

from __future__ import annotations

from pathlib import Path

from analysis.derived import with_derived
from analysis.load_ledger import load_ledger
from analysis.load_mlflow import load_mlflow
from analysis.results import Results, Words, words
from terminator.errors import UserError
from terminator.ledger import default_root


def load(
    root: Path | str | None = None,
    ablations: Words | None = None,
    *,
    sweep: str | None = None,
    variant: Words | None = None,
    dataset: Words | None = None,
    state: Words | None = None,
    commit: Words | None = None,
    tracking_uri: str | None = None,
    baseline: str | None = None,
) -> Results:
    """The results of `ablations` (default: all there are), a sweep each: `sweep` (its id or how it begins), else the
    newest one that holds the ablation, one with settings of its own (other than data and seeds) only where there is no
    other; with `dataset`, that on each of these data sets.

    `root`: the output root; default: $TERMINATOR_ROOT, else ./outputs. `tracking_uri`: read this MLflow store or server
    instead, where `baseline` names another variant to compare with; `load_mlflow` can be told more. Raises UserError,
    listing what there is, where an ablation or sweep has no results.
    """
    wanted = None if ablations is None else words(ablations)
    datasets = None if dataset is None else words(dataset)
    if tracking_uri is None and baseline is not None:
        raise UserError(f"baseline={baseline}: only with an MLflow store; in a ledger the ablation names its own")
    if tracking_uri is not None and sweep is not None:
        raise UserError(f"sweep={sweep}: only with a ledger; of an MLflow store the newest sweep is read")
    if tracking_uri is not None:
        results = load_mlflow(tracking_uri, wanted, datasets=datasets, baseline=baseline)
    else:
        results = load_ledger(Path(root) if root is not None else default_root(), wanted, sweep, datasets)
    return with_derived(results).only(variant=variant, dataset=dataset, state=state, commit=commit)
