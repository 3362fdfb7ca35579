from __future__ import annotations

import pytest

from terminator.analysis.statistics.power import detectable_difference, difference_power


def test_power_of_the_paired_t_test() -> None:
    """Cohen's medium effect, d_z = 0.5, takes 34 pairs for a power of 0.8 (G*Power prints 0.8077775)."""
    assert difference_power(34, 0.5, 1.0, 0.05) == pytest.approx(0.8077775, abs=1e-6)
    assert difference_power(33, 0.5, 1.0, 0.05) < 0.8
    assert difference_power(5, 0.0, 1.0, 0.05) == pytest.approx(0.05, abs=1e-6)


def test_detectable_difference_is_the_one_that_power_reaches() -> None:
    found = detectable_difference(5, 0.02, 0.05)
    assert difference_power(5, found, 0.02, 0.05) == pytest.approx(0.8)
    assert detectable_difference(5, 0.0, 0.05) == 0
    with pytest.raises(ValueError, match="seeds=1"):
        detectable_difference(1, 0.02, 0.05)
