"""What is computed from results paired by seed: moments, tests, intervals, and effect sizes.

A p-value and what it needs (`moments`, `t_p_values`, `equivalence_p_values`, `holm_steps`) are functions of arrays, so
that one table and a simulated batch of tables go through the same code: the last axis of results is the seed, NaN where
a run has no result; the last axis of p-values is the variant. `Pairs` is one variant of one table.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, isfinite, lgamma, sqrt
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy import special

from terminator.ledger import Interval

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Differences of rounded numbers differ in their last bits even where the numbers behind them do not.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation (n − 1) of paired differences, the seed's axis reduced; NaN of too few pairs.

    `constant`: all differences are the same but for rounding.
    """

    n: NDArray[np.int64]
    mean: FloatArray
    spread: FloatArray
    constant: BoolArray

    @property
    def testable(self) -> BoolArray:
        """Whether an interval and a test exist: two pairs or more, and a spread."""
        return self.spread > 0

    @property
    def error(self) -> FloatArray:
        """The standard error of the mean; NaN where nothing can be tested."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.testable, self.spread / np.sqrt(self.n), np.nan)


def moments(ours: FloatArray, theirs: FloatArray, resolution: float = 0.0) -> Moments:
    """The moments of ours − theirs, (…, seeds) both, over the seeds at which both are finite.

    The spread is never taken to be below `resolution`, the metric's own step: of counts near their limit, few seeds
    often show none or hardly any (docs/statistics.md).
    """
    both = np.isfinite(ours) & np.isfinite(theirs)
    n = both.sum(axis=-1)
    differences = np.subtract(ours, theirs, out=np.zeros(both.shape), where=both)
    scale = np.maximum(np.abs(ours), np.abs(theirs)).max(axis=-1, initial=0.0, where=both)
    widest = differences.max(axis=-1, initial=-np.inf, where=both) - differences.min(
        axis=-1, initial=np.inf, where=both
    )
    constant = (n > 0) & (widest <= ROUNDING * scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = differences.sum(axis=-1) / n
        mean = np.where(constant & (np.abs(mean) <= ROUNDING * scale), 0.0, mean)
        squares = np.square(differences - mean[..., None], where=both, out=np.zeros(both.shape)).sum(axis=-1)
        spread = np.where(constant, 0.0, np.sqrt(squares / (n - 1)))
        spread = np.where(n > 1, np.maximum(resolution, spread), np.nan)
    return Moments(n, mean, spread, constant)


def t_p_values(mean: FloatArray, error: FloatArray, degrees: FloatArray) -> FloatArray:
    """The two-sided p of Student's t-test of "the true mean is zero"."""
    return np.asarray(2 * special.stdtr(degrees, -np.abs(mean) / error))


def equivalence_p_values(mean: FloatArray, error: FloatArray, degrees: FloatArray, margin: float) -> FloatArray:
    """The p of "the true mean is at least `margin` in size": the larger of two one-sided t-tests (Schuirmann 1987)."""
    return np.asarray(special.stdtr(degrees, (np.abs(mean) - margin) / error))


def holm_steps(p_values: FloatArray, rejected: NDArray[np.int64] | int = 0) -> FloatArray:
    """Adjust families of p-values, (…, tests), by Holm's step-down procedure (1979).

    NaN stands for a test that is not made, and stays NaN; it counts in the family all the same. So do `rejected` of
    them, which were rejected before: Holm's first step then starts that many tests further on.
    """
    count = p_values.shape[-1]
    order = np.argsort(p_values, axis=-1)  # NaN last
    steps = np.maximum(1, count - np.asarray(rejected)[..., None] - np.arange(count))
    stepped = np.maximum.accumulate(np.minimum(1.0, np.take_along_axis(p_values, order, axis=-1) * steps), axis=-1)
    adjusted = np.empty_like(stepped)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


@dataclass(frozen=True)
class Pairs:
    """One metric's differences, variant less baseline, a seed each.

    `unpaired`: the seeds that only one of the two has; they take no part. `constant`: as in `Moments`.
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
    found = moments(ours, theirs)
    constant = bool(found.constant)
    differences = np.zeros(len(seeds)) if constant and found.mean == 0 else ours - theirs
    return Pairs(seeds, differences, tuple(sorted(variant.keys() ^ baseline.keys())), constant)


def t_interval(pairs: Pairs, level: float = 0.95) -> Interval | None:
    """Student's interval of the mean difference; None where there is no spread to build it from."""
    if not pairs.testable:
        return None
    half = float(special.stdtrit(pairs.n - 1, 0.5 + level / 2)) * pairs.spread / sqrt(pairs.n)
    return Interval(pairs.mean - half, pairs.mean + half, level)


def t_test(pairs: Pairs) -> float | None:
    """The two-sided p of the paired t-test; None where there is no spread to test by."""
    if not pairs.testable:
        return None
    mean, error = np.float64(pairs.mean), np.float64(pairs.spread / sqrt(pairs.n))
    return float(t_p_values(mean, error, np.float64(pairs.n - 1)))


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust the p-values of one family by Holm; None (not testable) stays None and does not count as a test."""
    tested = {name: p for name, p in p_values.items() if p is not None}
    adjusted = dict(zip(tested, holm_steps(np.array(list(tested.values()))).tolist(), strict=True))
    return {name: adjusted.get(name) for name in p_values}


MOST_PAIRS = 16  # 2^16 sign patterns are counted in milliseconds


def smallest_p(n: int) -> float:
    """The smallest p of the sign-flip test that n pairs can reach: all signs alike, one way or the other."""
    return float(2.0 ** (1 - n))


def sign_flip_test(pairs: Pairs) -> float | None:
    """The two-sided p of the mean under all 2^n sign patterns; None without pairs or with more than `MOST_PAIRS`."""
    if not 1 <= pairs.n <= MOST_PAIRS:
        return None
    patterns = np.arange(2**pairs.n)[:, None] >> np.arange(pairs.n) & 1
    sums = (1 - 2 * patterns) @ pairs.differences
    observed = abs(pairs.differences.sum())
    return float(np.mean(np.abs(sums) >= observed * (1 - ROUNDING)))


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
    """The BCa bootstrap interval (Efron and Tibshirani 1993), drawn with a fixed seed.

    None with fewer than `FEWEST_PAIRS` pairs, no spread or nothing to correct by; with fewer than `TRUSTED_PAIRS` it is
    too narrow.
    """
    if pairs.n < FEWEST_PAIRS or not pairs.testable:
        return None
    from scipy import stats  # takes a second to import

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


def finite_test_set_noise(variant: BoolArray, baseline: BoolArray) -> float:
    """The standard error of the difference in accuracy that comes of the finite test set, as a fraction.

    Both are (runs, images), true where a run got an image right; images as they stand in one and the same test set,
    runs need not be as many. The trained networks are held fixed and the images are a sample: each image has one
    difference, the mean over the variant's runs less that over the baseline's, and their standard deviation over
    √images is the error. So images that both get wrong alike add nothing. Raises ValueError where the images differ in
    number, or are fewer than two.
    """
    if variant.shape[1] != baseline.shape[1] or variant.shape[1] < 2:
        raise ValueError(f"images={variant.shape[1]}, {baseline.shape[1]}: must be the same two images or more")
    differences = variant.mean(axis=0) - baseline.mean(axis=0)
    return float(np.std(differences, ddof=1)) / sqrt(len(differences))
