"""How large a difference is beside the spread of the differences."""

from __future__ import annotations

from math import exp, lgamma, sqrt

from analysis.statistics.paired import Pairs


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
