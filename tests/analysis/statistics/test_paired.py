from __future__ import annotations

from math import isnan, sqrt

import pytest

from terminator.analysis.statistics.tests import pair, t_interval, t_test
from tests.analysis.statistics.published import maize, of, sleep


def test_three_differences_by_hand() -> None:
    pairs = of([1.0, 2.0, 3.0])
    assert (pairs.mean, pairs.spread) == (2.0, 1.0)
    # Two degrees of freedom: F(t) = 1/2 + t / (2 √(2 + t²)), t = 2√3.
    assert t_test(pairs) == pytest.approx(1 - sqrt(12 / 14))
    interval = t_interval(pairs)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((2 - 4.302653 / sqrt(3), 2 + 4.302653 / sqrt(3)))
    assert interval.contains(0.0)


def test_student_s_sleep_data() -> None:
    """The numbers R prints for t.test(extra ~ group, data = sleep, paired = TRUE)."""
    assert sleep().mean == pytest.approx(-1.58)
    assert t_test(sleep()) == pytest.approx(0.002833, abs=5e-7)
    interval = t_interval(sleep())
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((-2.4598858, -0.7001142))


def test_darwin_s_maize() -> None:
    """Fisher's t = 2.148 with 14 degrees of freedom just passes the 5 per cent point, 2.145."""
    assert maize().mean / maize().spread * sqrt(15) == pytest.approx(2.148, abs=5e-4)
    assert t_test(maize()) == pytest.approx(0.0497, abs=5e-5)


def test_only_common_seeds_are_paired() -> None:
    pairs = pair({0: 0.9, 1: 0.8, 5: 0.1}, {1: 0.7, 0: 0.6, 2: 0.4})
    assert pairs.seeds == (0, 1)
    assert pairs.differences.tolist() == pytest.approx([0.3, 0.1])
    assert pairs.unpaired == (2, 5)


def test_differences_that_differ_by_rounding_alone_have_no_spread() -> None:
    pairs = pair({0: 0.8, 1: 0.9, 2: 0.3}, {0: 0.7, 1: 0.8, 2: 0.2})
    assert len(set(pairs.differences.tolist())) > 1
    assert pairs.constant
    assert pairs.spread == 0
    assert t_test(pairs) is None
    assert t_interval(pairs) is None


def test_a_metric_of_any_scale_keeps_its_spread() -> None:
    assert not pair({0: 1e-12, 1: 3e-12}, {0: 2e-12, 1: 1e-12}).constant


def test_one_pair_and_none() -> None:
    one = of([0.5])
    assert one.mean == 0.5
    assert isnan(one.spread)
    assert t_interval(one) is None
    assert t_test(one) is None
    assert isnan(of([]).mean)
