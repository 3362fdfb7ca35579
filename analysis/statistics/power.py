"""What a number of seeds can show: the power of the paired t-test."""

from __future__ import annotations

from functools import cache
from math import sqrt

import numpy as np
from scipy import optimize, special

from terminator.analysis.statistics.tests import FloatArray

POWER = 0.8

# Power is the mean, over the spreads that a sample may show, of a normal probability: exact, and free
# of the NaNs that scipy's noncentral t returns far from its centre. Nodes on the probability scale of the spread.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def difference_power(seeds: int, effect: float, spread: float, alpha: float) -> float:
    """The chance that a two-sided paired t-test at `alpha` shows a true difference of `effect`."""
    shift = abs(effect) / spread * sqrt(seeds)
    reach = special.stdtrit(seeds - 1, 1 - alpha / 2) * _spread_ratios(seeds - 1)
    return _expected(special.ndtr(shift - reach) + special.ndtr(-shift - reach))


def detectable_difference(seeds: int, spread: float, alpha: float) -> float:
    """The true difference that `seeds` paired seeds show with power 0.8. Raises ValueError below two seeds."""
    if seeds < 2:
        raise ValueError(f"seeds={seeds}: a spread takes two seeds or more")
    if spread == 0:
        return 0.0
    # In units of the spread, the answer lies between these for any n ≥ 2 and any alpha in use.
    found = optimize.brentq(lambda d: difference_power(seeds, d, 1.0, alpha) - POWER, 1e-3, 1e4 / sqrt(seeds))
    return float(found) * spread


@cache  # the root finder asks for the same again and again
def _spread_ratios(degrees: int) -> FloatArray:
    """Sample spread over true spread, at the nodes."""
    return np.sqrt(special.chdtri(degrees, (1 - _NODES) / 2) / degrees)  # type: ignore[no-any-return]


def _expected(values: FloatArray) -> float:
    """The mean over the nodes."""
    return float(_WEIGHTS @ values / 2)
