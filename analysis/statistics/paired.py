"""Differences paired by seed, and Student's interval and test for their mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

# Differences of rounded numbers differ in their last bits even where the numbers behind them do not.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float
    level: float = 0.95

    def contains(self, value: float) -> bool:
        """Whether `value` lies in the interval, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Pairs:
    """One metric's differences, variant less baseline, a seed each.

    `unpaired`: the seeds that only one of the two has; they take no part. `constant`: all differences are the same
    but for rounding, so they have no spread to judge by.
    """

    seeds: tuple[int, ...]
    differences: FloatArray
    unpaired: tuple[int, ...] = ()
    constant: bool = False

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.seeds)

    @property
    def mean(self) -> float:
        """The mean difference; NaN without a pair."""
        return float(self.differences.mean()) if self.n else float("nan")

    @property
    def spread(self) -> float:
        """The standard deviation (n − 1) of the differences; NaN with fewer than two."""
        if self.n < 2:
            return float("nan")
        return 0.0 if self.constant else float(self.differences.std(ddof=1))

    @property
    def testable(self) -> bool:
        """Whether an interval and a test exist: two pairs or more that are not all the same."""
        return self.n >= 2 and not self.constant


def pair(variant: Mapping[int, float], baseline: Mapping[int, float]) -> Pairs:
    """Pair two sets of results, seed → metric."""
    seeds = tuple(sorted(variant.keys() & baseline.keys()))
    ours = np.array([variant[seed] for seed in seeds], dtype=np.float64)
    theirs = np.array([baseline[seed] for seed in seeds], dtype=np.float64)
    differences = ours - theirs
    constant = False
    if seeds:
        scale = max(np.abs(ours).max(), np.abs(theirs).max())
        constant = bool(np.ptp(differences) <= ROUNDING * scale)
        if constant and abs(differences.mean()) <= ROUNDING * scale:
            differences = np.zeros_like(differences)
    return Pairs(seeds, differences, tuple(sorted(variant.keys() ^ baseline.keys())), constant)


def t_interval(pairs: Pairs, level: float = 0.95) -> Interval | None:
    """Student's interval of the mean difference; None where there is no spread to build it from."""
    if not pairs.testable:
        return None
    half = stats.t.ppf(0.5 + level / 2, pairs.n - 1) * pairs.spread / np.sqrt(pairs.n)
    return Interval(float(pairs.mean - half), float(pairs.mean + half), level)


def t_test(pairs: Pairs) -> float | None:
    """The two-sided p of the paired t-test; None where there is no spread to test by."""
    if not pairs.testable:
        return None
    return float(stats.ttest_1samp(pairs.differences, 0.0).pvalue)
