from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from terminator.analysis.statistics.margins import finite_test_set_noise, margin_warnings


def test_margins_that_fit_are_not_warned_of() -> None:
    assert margin_warnings(0.01, 0.007, 360) == ()
    assert margin_warnings(0.01, None, None) == ()
    assert margin_warnings(0.7, 0.7, None, scale=1.0, unit="") == ()


def test_margins_below_a_spread_or_an_image() -> None:
    spread, image = margin_warnings(0.002, 0.007, 360)
    assert spread == (
        "The smallest effect that matters, 0.2 points, is below one typical spread of the differences between seeds, "
        "0.7 points: to show that a difference is smaller takes many seeds."
    )
    assert (
        image
        == "The smallest effect that matters, 0.2 points, is below what one of 360 test images is worth, 0.28 points."
    )


def test_noise_of_a_test_set_by_hand() -> None:
    """Four images; the variant is right in 1, 1/2, 0, 1 of its runs, the baseline in 1, 1, 1, 0 of its own."""
    variant = np.array([[True, True, False, True], [True, False, False, True]])
    baseline = np.array([[True, True, True, False]])
    # Differences 0, −1/2, −1, 1: mean −1/8, sum of squares 9/4 − 4/64 = 35/16, variance 35/48.
    assert finite_test_set_noise(variant, baseline) == pytest.approx(sqrt(35 / 48 / 4))
    assert finite_test_set_noise(baseline, baseline) == 0


def test_images_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="images=2, 3"):
        finite_test_set_noise(np.ones((1, 2), dtype=bool), np.ones((1, 3), dtype=bool))
