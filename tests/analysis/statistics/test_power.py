from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from terminator.analysis.statistics.power import (
    detectable_difference,
    difference_power,
    equivalence_power,
    seeds_to_decide,
)


def test_power_of_the_paired_t_test() -> None:
    """Cohen's medium effect, d_z = 0.5, takes 34 pairs for a power of 0.8 (G*Power prints 0.8077775)."""
    assert difference_power(34, 0.5, 1.0, 0.05) == pytest.approx(0.8077775, abs=1e-6)
    assert difference_power(33, 0.5, 1.0, 0.05) < 0.8
    assert difference_power(5, 0.0, 1.0, 0.05) == pytest.approx(0.05, abs=1e-6)


def test_power_of_the_equivalence_test() -> None:
    """Against drawn samples: 10 pairs, margin of one spread."""
    samples = np.random.default_rng(0).normal(0.2, 1.0, (40_000, 10))
    reach = stats.t.ppf(0.95, 9) * samples.std(axis=1, ddof=1) / np.sqrt(10)
    shown = np.mean(np.abs(samples.mean(axis=1)) < 1.0 - reach)
    assert equivalence_power(10, 0.2, 1.0, 1.0, 0.05) == pytest.approx(shown, abs=0.01)


def test_no_power_without_room() -> None:
    assert equivalence_power(3, 0.0, 0.01, 1.0, 0.05) == pytest.approx(0, abs=1e-6)


def test_detectable_difference_is_the_one_that_power_reaches() -> None:
    found = detectable_difference(5, 0.02, 0.05)
    assert difference_power(5, found, 0.02, 0.05) == pytest.approx(0.8)
    assert detectable_difference(5, 0.0, 0.05) == 0
    with pytest.raises(ValueError, match="seeds=1"):
        detectable_difference(1, 0.02, 0.05)


def test_seeds_to_decide() -> None:
    assert seeds_to_decide(0.5, 1.0, 0.0, fewest=4, alpha=0.05) == 34
    assert seeds_to_decide(5.0, 1.0, 0.0, fewest=7, alpha=0.05) == 7
    assert seeds_to_decide(0.01, 1.0, 0.0, fewest=4, alpha=0.05) is None
    # No difference seen: the equivalence test decides, near n = (1.645 + 1.2816)² (σ/δ)² ≈ 8.6, a little more for t.
    assert seeds_to_decide(0.0, 1.0, 1.0, fewest=4, alpha=0.05) == pytest.approx(10, abs=1)
