"""Metrics that come from the curves rather than from a run's result."""

from __future__ import annotations

from dataclasses import replace

from analysis.results import Results

CONVERGENCE = "convergence_epochs"
CURVE = "validation_accuracy"
SHARE = 0.95
FEWEST_EPOCHS = 3  # in one or two, near its best may mean not yet begun to learn


def with_derived(results: Results) -> Results:
    """Add `convergence_epochs`: the first epoch whose validation accuracy is 95 % of the best that the run came to.

    Runs of fewer than `FEWEST_EPOCHS` epochs have none.
    """
    epochs = results.epochs
    if CURVE not in epochs or epochs[CURVE].isna().all():
        return results
    of_run = epochs.groupby("key")
    near = epochs[CURVE] >= SHARE * of_run[CURVE].transform("max")
    reached = epochs[near & (of_run["epoch"].transform("max") >= FEWEST_EPOCHS)].groupby("key")["epoch"].min()
    return replace(results, runs=results.runs.assign(**{CONVERGENCE: results.runs["key"].map(reached)}))
