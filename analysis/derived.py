"""Metrics that come from the curves rather than from a run's result."""

from __future__ import annotations

from dataclasses import replace

from analysis.results import Results

CURVE = "validation_accuracy"
SHARE = 0.95


def with_derived(results: Results) -> Results:
    """Add `convergence_epochs`: the first epoch whose validation accuracy is 95 % of the best that the run came to."""
    epochs = results.epochs
    if CURVE not in epochs or epochs[CURVE].isna().all():
        return results
    near = epochs[epochs[CURVE] >= SHARE * epochs.groupby("key")[CURVE].transform("max")]
    runs = results.runs.assign(convergence_epochs=results.runs["key"].map(near.groupby("key")["epoch"].min()))
    return replace(results, runs=runs)
