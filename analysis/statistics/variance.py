"""Where the spread between runs comes from: how much of it is left where some sources of randomness are held fixed.

Intervals are those of normal results: of a standard deviation by χ², of a ratio of two variances by Pitman (1939) and
Morgan (1939), for which results that share their seeds may be correlated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import special

from terminator.ledger import Interval

LEVEL = 0.95
FEWEST = 3  # seeds in common, for an interval of a ratio


@dataclass(frozen=True)
class Spread:
    """Of the runs of one variant over their seeds: standard deviation (n − 1), and its square as a share of the
    baseline's. NaN and None where there are too few runs, or the baseline's do not differ."""

    std: float
    interval: Interval | None
    share: float
    share_interval: Interval | None


def spread(values: Mapping[int, float], baseline: Mapping[int, float]) -> Spread:
    """Compare the variance of `values` with that of `baseline`, both seed → result, at the seeds that both have."""
    seeds = sorted(values.keys() & baseline.keys())
    ours, all_of_them = (np.array([each[seed] for seed in seeds]) for each in (values, baseline))
    std = float(np.std(list(values.values()), ddof=1)) if len(values) > 1 else nan
    if len(seeds) < 2 or not (total := float(np.var(all_of_them, ddof=1))):
        return Spread(std, _of_std(std, len(values)), nan, None)
    share = float(np.var(ours, ddof=1)) / total
    correlation = float(np.corrcoef(ours, all_of_them)[0, 1]) if share else 0.0
    return Spread(std, _of_std(std, len(values)), share, _of_ratio(share, correlation, len(seeds)))


def _of_std(std: float, n: int) -> Interval | None:
    if n < 2:
        return None
    low, high = special.chdtri(n - 1, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])  # of the upper tail
    return Interval(std * sqrt((n - 1) / high), std * sqrt((n - 1) / low), LEVEL)


def _of_ratio(ratio: float, correlation: float, n: int) -> Interval | None:
    if n < FEWEST:
        return None
    t = special.stdtrit(n - 2, (1 + LEVEL) / 2)
    k = 1 + 2 * max(0.0, 1 - correlation**2) * t**2 / (n - 2)
    factor = k + sqrt(k**2 - 1)
    return Interval(ratio / factor, ratio * factor, LEVEL)
