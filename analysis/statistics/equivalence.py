"""Two one-sided tests (Schuirmann 1987): is the difference surely smaller than the smallest that matters?"""

from __future__ import annotations

from scipy import stats

from analysis.statistics.paired import Pairs


def equivalence_test(pairs: Pairs, margin: float) -> float | None:
    """The p of "the true difference is at least `margin` in size"; None where there is no spread or no margin."""
    if not pairs.testable or margin <= 0:
        return None
    above = stats.ttest_1samp(pairs.differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(pairs.differences, margin, alternative="less").pvalue
    return float(max(above, below))
