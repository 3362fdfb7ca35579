from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from terminator.analysis.statistics.tests import Pairs, median_spread


def three_seeds(size: float) -> Pairs:
    return Pairs((0, 1, 2), np.array([-size, 0.0, size]), constant=size == 0)


def test_the_median_of_spreads_by_hand() -> None:
    # Of three seeds, a sample variance is below ln 2 times the true one in half the cases (chi squared, two degrees).
    assert median_spread([three_seeds(1.0), three_seeds(1.0)]) == pytest.approx(1 / sqrt(log(2)))


def test_one_that_collapsed_does_not_sway_it() -> None:
    assert median_spread(map(three_seeds, (1.0, 2.0, 30.0, 0.0))) == pytest.approx(2 / sqrt(log(2)))


def test_too_few_differences_have_none() -> None:
    assert median_spread([]) is None
    assert median_spread([three_seeds(1.0)]) is None  # two degrees of freedom
