"""Pairs, their tests and intervals, by hand and against published examples."""

from __future__ import annotations

from math import gamma, isnan, log, sqrt
from statistics import NormalDist

import numpy as np
import pytest

from terminator.analysis.statistics.tests import (
    Pairs,
    bca_interval,
    equivalence_p_values,
    finite_test_set_noise,
    hedges_g_z,
    holm,
    holm_steps,
    median_spread,
    moments,
    pair,
    sign_flip_test,
    small_sample_correction,
    smallest_p,
    t_interval,
    t_test,
)
from tests.analysis.statistics.published import DRUG_1, DRUG_2, MAIZE, maize, of, sleep


def test_moments_of_a_batch_leave_out_failed_runs() -> None:
    nan = np.nan
    ours = np.array([[[3.0, 5.0, 7.0], [3.0, nan, 5.0], [4.0, 4.0, nan], [2.0, np.inf, 1.0], [nan, nan, 9.0]]])
    found = moments(ours, np.array([[[2.0, 2.0, nan]]]))
    assert found.n.tolist() == [[2, 1, 2, 1, 0]]
    assert found.mean[0, :4].tolist() == [2.0, 1.0, 2.0, 0.0]
    assert found.spread[0, 0] == pytest.approx(sqrt(2))  # of 1 and 3
    assert found.error[0, 0] == pytest.approx(1.0)
    assert found.testable.tolist() == [[True, False, False, False, False]]


def test_a_spread_is_never_below_the_resolution() -> None:
    found = moments(np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 6.0], [1.0, np.nan, np.nan]]), np.zeros(3), resolution=0.5)
    assert found.spread[:2].tolist() == [0.5, 3.0]
    assert found.testable.tolist() == [True, True, False]
    assert found.constant.tolist() == [True, False, True]


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


def test_sign_flips_by_hand() -> None:
    # The eight sums of ±1 ±2 ±4 are ±7, ±5, ±3, ±1: four of them reach |−1 + 2 + 4| = 5 in size.
    assert sign_flip_test(of([-1.0, 2.0, 4.0])) == 4 / 8
    assert sign_flip_test(of([1.0, 2.0, 4.0])) == smallest_p(3) == 2 / 8
    assert sign_flip_test(of([0.0, 0.0])) == 1


def test_sign_flips_of_darwin_s_maize() -> None:
    """Fisher counted 863 of the 32,768 sign patterns that reach the observed sum, on each side (§21)."""
    assert sign_flip_test(maize()) == 2 * 863 / 32768


def test_sign_flips_that_tie_but_for_rounding_count() -> None:
    assert sign_flip_test(of([0.1, 0.2, 0.3, -0.3])) == sign_flip_test(of([1.0, 2.0, 3.0, -3.0]))


def test_too_many_sign_flips_are_not_counted() -> None:
    assert sign_flip_test(of([1.0] * 17)) is None


def test_holm_s_procedure() -> None:
    """.005 × 4, .01 × 3, .03 × 2, and .04, which may not fall below the one before it."""
    adjusted = holm({"a": 0.01, "b": 0.04, "untested": None, "c": 0.03, "d": 0.005})
    assert adjusted == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "untested": None,
        "c": pytest.approx(0.06),
        "d": pytest.approx(0.02),
    }
    assert holm({"untested": None}) == {"untested": None}


def test_holm_s_procedure_as_statsmodels_has_it() -> None:
    from statsmodels.stats.multitest import multipletests  # a second to import

    p_values = np.random.default_rng(0).uniform(0, 0.2, 12).tolist()
    published = multipletests(p_values, method="holm")[1]
    ours = holm({str(number): p for number, p in enumerate(p_values)})
    assert list(ours.values()) == pytest.approx(published.tolist())


def test_holm_s_procedure_goes_on_after_those_rejected_before() -> None:
    """Of five tests two were rejected and one is not made: the smallest p left is at the third step, times 3."""
    nan = np.nan
    adjusted = holm_steps(np.array([[nan, 0.02, nan, 0.01, nan], [0.01, nan, nan, nan, nan]]), np.array([2, 0]))
    assert adjusted[0, [3, 1]] == pytest.approx([0.03, 0.04])
    assert adjusted[1, 0] == pytest.approx(0.05)
    assert np.isnan(adjusted).sum() == 7


def test_hedges_g_z() -> None:
    assert small_sample_correction(9) == pytest.approx(gamma(4.5) / (sqrt(4.5) * gamma(4)))
    assert small_sample_correction(9) == pytest.approx(1 - 3 / (4 * 9 - 1), abs=1e-3)  # Hedges' own approximation
    assert hedges_g_z(sleep()) == pytest.approx(-4.0621 / sqrt(10) * 0.9139, rel=1e-4)  # t / √n is d_z
    assert hedges_g_z(of([1.0, 2.0])) is None


def equivalence(pairs: Pairs, margin: float) -> float:
    error = np.float64(pairs.spread / sqrt(pairs.n))
    return float(equivalence_p_values(np.float64(pairs.mean), error, np.float64(pairs.n - 1), margin))


def test_equivalence_by_hand() -> None:
    # Of 1, 2, 3 and a margin of 5, the upper test is the harder: t = (2 − 5) / (1/√3) = −√27, two degrees of freedom.
    assert equivalence(of([1.0, 2.0, 3.0]), 5.0) == pytest.approx(0.5 - sqrt(27) / (2 * sqrt(2 + 27)))


def test_equivalence_of_the_sleep_data() -> None:
    from statsmodels.stats.weightstats import ttost_paired  # a second to import

    published = ttost_paired(np.array(DRUG_1), np.array(DRUG_2), -2.5, 2.5)[0]
    assert equivalence(sleep(), 2.5) == pytest.approx(published)


def test_bootstrap_interval_of_darwin_s_maize() -> None:
    """Against BCa written out (Efron and Tibshirani 1993, eq. 14.9–14.15), with resamples of its own."""
    values = np.array(MAIZE, dtype=float)
    means = np.random.default_rng(1).choice(values, (200_000, values.size)).mean(axis=1)
    normal = NormalDist()
    bias = normal.inv_cdf(float(np.mean(means < values.mean()) + np.mean(means == values.mean()) / 2))
    jackknife = (values.sum() - values) / (values.size - 1)
    pull = jackknife.mean() - jackknife
    acceleration = (pull**3).sum() / (6 * (pull**2).sum() ** 1.5)
    shifted = [bias + normal.inv_cdf(level) for level in (0.025, 0.975)]
    levels = [normal.cdf(bias + each / (1 - acceleration * each)) for each in shifted]
    interval = bca_interval(maize())
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, levels)), abs=1.5)
    assert interval == bca_interval(maize())


def test_bootstrap_needs_pairs_enough() -> None:
    assert bca_interval(of([1.0, 2.0])) is None
    assert bca_interval(of([1.0, 2.0, 4.0])) is not None
    assert bca_interval(of([1.0] * 12)) is None


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
