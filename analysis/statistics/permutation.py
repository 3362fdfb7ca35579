"""The exact sign-flip test: with no effect, each difference was as likely to have the other sign."""

from __future__ import annotations

import numpy as np

from analysis.statistics.paired import ROUNDING, Pairs

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
