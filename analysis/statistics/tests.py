"""The spread that is typical of the variants of an ablation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, isfinite, lgamma, sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

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


def small_sample_correction(degrees: int) -> float:
    """Hedges' exact J for an effect size whose spread has `degrees` degrees of freedom (Hedges 1981, eq. 6e)."""
    return exp(lgamma(degrees / 2) - lgamma((degrees - 1) / 2)) / sqrt(degrees / 2)


def hedges_g_z(pairs: Pairs) -> float | None:
    """Mean difference over the differences' standard deviation (Cohen's d_z), times Hedges' J.

    None with fewer than three pairs (J has no value there) or no spread.
    """
    if pairs.n < 3 or not pairs.testable:
        return None
    return pairs.mean / pairs.spread * small_sample_correction(pairs.n - 1)


FEWEST_PAIRS = 3
# Of fewer differences, resamples hold too little: with five, 95 % cover 85 %, with three 73 % (docs/statistics.md).
TRUSTED_PAIRS = 10
RESAMPLES = 9_999


def bca_interval(pairs: Pairs, level: float = 0.95) -> Interval | None:
    """The BCa interval, drawn with a fixed seed; None with fewer than `FEWEST_PAIRS` pairs, no spread or nothing to
    correct by. With fewer than `TRUSTED_PAIRS` it is too narrow."""
    if pairs.n < FEWEST_PAIRS or not pairs.testable:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # it comes with NaN, and that with None
        drawn = stats.bootstrap(
            (pairs.differences,),
            np.mean,
            confidence_level=level,
            n_resamples=RESAMPLES,
            method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = float(drawn.low), float(drawn.high)
    return Interval(low, high, level) if isfinite(low) and isfinite(high) else None


MOST_PAIRS = 16  # 2^16 sign patterns are counted in milliseconds


def smallest_p(n: int) -> float:
    """The smallest p that n pairs can reach: all signs alike, one way or the other."""
    return float(2.0 ** (1 - n))


def sign_flip_test(pairs: Pairs) -> float | None:
    """The two-sided p of the mean under all 2^n sign patterns; None without pairs or with more than `MOST_PAIRS`."""
    if not 1 <= pairs.n <= MOST_PAIRS:
        return None
    patterns = np.arange(2**pairs.n)[:, None] >> np.arange(pairs.n) & 1
    sums = (1 - 2 * patterns) @ pairs.differences
    observed = abs(pairs.differences.sum())
    return float(np.mean(np.abs(sums) >= observed * (1 - ROUNDING)))


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
