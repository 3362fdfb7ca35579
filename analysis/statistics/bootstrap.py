"""The bias-corrected and accelerated bootstrap interval of a mean difference (Efron 1987)."""

from __future__ import annotations

import warnings
from math import isfinite

import numpy as np
from scipy import stats

from analysis.statistics.paired import Interval, Pairs

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
