"""The spread that is typical of the variants of an ablation."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from statistics import median

from scipy import special

from analysis.statistics.paired import Pairs

FEWEST_DEGREES = 4  # of freedom in all: fewer differences say too little of a spread


def median_spread(variants: Iterable[Pairs]) -> float | None:
    """The standard deviation of paired differences, typical of variants: one that collapsed does not sway it.

    A spread seen in n seeds is more often too small than too large; each is divided by its own median. None where there
    are too few differences.
    """
    pairs = [each for each in variants if each.testable]
    if sum(each.n - 1 for each in pairs) < FEWEST_DEGREES:
        return None
    return median(each.spread / sqrt(special.chdtri(each.n - 1, 0.5) / (each.n - 1)) for each in pairs)
