"""Twins that are no controls: those that were to have the baseline's size, and have not."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.summary import Summary
from terminator.planning.budget import NEAR, signed_percent


def far_twins(summary: Summary) -> Iterator[str]:
    """A sentence for each twin that misses its budget by more than `NEAR`, as its runs counted it."""
    for variant in summary.variants:
        what = variant.name.rpartition("@")[2]  # parameters or flops
        size, budget = variant.costs.get(what), summary.baseline.costs.get(what)
        if variant.twin_of is not None and size and budget and abs(off := size / budget - 1) > NEAR:
            yield (
                f"{variant.name} misses the {what} of {summary.baseline.name} by {signed_percent(off)}: "
                "it is no control of equal size."
            )
