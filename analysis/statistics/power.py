"""What a number of seeds can show: power of the paired t-test and of the equivalence test, and seeds still needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import sqrt

import numpy as np
from scipy import optimize, special

from terminator.analysis.statistics.tests import FloatArray

POWER = 0.8
MOST_SEEDS = 1_000

# Power is the mean, over the spreads that a sample may show, of a normal probability: exact for both tests, and free
# of the NaNs that scipy's noncentral t returns far from its centre. Nodes on the probability scale of the spread.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def difference_power(seeds: int, effect: float, spread: float, alpha: float) -> float:
    """The chance that a two-sided paired t-test at `alpha` shows a true difference of `effect`."""
    shift = abs(effect) / spread * sqrt(seeds)
    reach = special.stdtrit(seeds - 1, 1 - alpha / 2) * _spread_ratios(seeds - 1)
    return _expected(special.ndtr(shift - reach) + special.ndtr(-shift - reach))


def equivalence_power(seeds: int, effect: float, margin: float, spread: float, alpha: float) -> float:
    """The chance that two one-sided tests at `alpha` show a true difference of `effect` to lie within ±`margin`."""
    error = spread / sqrt(seeds)
    reach = special.stdtrit(seeds - 1, 1 - alpha) * _spread_ratios(seeds - 1)
    inside = special.ndtr((margin - effect) / error - reach) - special.ndtr((-margin - effect) / error + reach)
    return _expected(np.maximum(0.0, inside))


def seeds_to_decide(mean: float, spread: float, margin: float, *, fewest: int, alpha: float) -> int | None:
    """The seeds at which a verdict is likely (power 0.8), if the true difference and spread are those seen so far.

    Either the difference is shown, or, where it is smaller than `margin`, that it is: whichever takes fewer seeds.
    None where more than `MOST_SEEDS` are needed.
    """

    def power(seeds: int) -> float:
        shown = difference_power(seeds, mean, spread, alpha)
        if abs(mean) >= margin:
            return shown
        return max(shown, equivalence_power(seeds, mean, margin, spread, alpha))

    return _first(power, max(2, fewest))


def detectable_difference(seeds: int, spread: float, alpha: float) -> float:
    """The true difference that `seeds` paired seeds show with power 0.8. Raises ValueError below two seeds."""
    if seeds < 2:
        raise ValueError(f"seeds={seeds}: a spread takes two seeds or more")
    if spread == 0:
        return 0.0
    # In units of the spread, the answer lies between these for any n ≥ 2 and any alpha in use.
    found = optimize.brentq(lambda d: difference_power(seeds, d, 1.0, alpha) - POWER, 1e-3, 1e4 / sqrt(seeds))
    return float(found) * spread


@cache  # a verdict asks for the same few again and again
def _spread_ratios(degrees: int) -> FloatArray:
    """Sample spread over true spread, at the nodes."""
    return np.sqrt(special.chdtri(degrees, (1 - _NODES) / 2) / degrees)  # type: ignore[no-any-return]


def _expected(values: FloatArray) -> float:
    """The mean over the nodes."""
    return float(_WEIGHTS @ values / 2)


def _first(power: Callable[[int], float], fewest: int) -> int | None:
    """The smallest n ≥ `fewest` with enough power, by bisection: power grows with n."""
    low, high = fewest, fewest
    while power(high) < POWER:
        if high >= MOST_SEEDS:
            return None
        low, high = high + 1, min(2 * high, MOST_SEEDS)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle + 1, high)
    return low
