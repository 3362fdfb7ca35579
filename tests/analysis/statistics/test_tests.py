"""Sign flips, Holm, effect size, equivalence and the bootstrap, by hand and against published examples."""

from __future__ import annotations

from math import gamma, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from terminator.analysis.statistics.tests import (
    bca_interval,
    equivalence_test,
    hedges_g_z,
    holm,
    sign_flip_test,
    small_sample_correction,
    smallest_p,
)
from tests.analysis.statistics.published import DRUG_1, DRUG_2, MAIZE, maize, of, sleep


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
    p_values = np.random.default_rng(0).uniform(0, 0.2, 12).tolist()
    published = multipletests(p_values, method="holm")[1]
    ours = holm({str(number): p for number, p in enumerate(p_values)})
    assert list(ours.values()) == pytest.approx(published.tolist())


def test_hedges_g_z() -> None:
    assert small_sample_correction(9) == pytest.approx(gamma(4.5) / (sqrt(4.5) * gamma(4)))
    assert small_sample_correction(9) == pytest.approx(1 - 3 / (4 * 9 - 1), abs=1e-3)  # Hedges' own approximation
    assert hedges_g_z(sleep()) == pytest.approx(-4.0621 / sqrt(10) * 0.9139, rel=1e-4)  # t / √n is d_z
    assert hedges_g_z(of([1.0, 2.0])) is None


def test_equivalence_by_hand() -> None:
    # Of 1, 2, 3 and a margin of 5, the upper test is the harder: t = (2 − 5) / (1/√3) = −√27, two degrees of freedom.
    assert equivalence_test(of([1.0, 2.0, 3.0]), 5.0) == pytest.approx(0.5 - sqrt(27) / (2 * sqrt(2 + 27)))
    assert equivalence_test(of([1.0, 2.0, 3.0]), 0.0) is None
    assert equivalence_test(of([1.0, 1.0]), 5.0) is None


def test_equivalence_of_the_sleep_data() -> None:
    published = ttost_paired(np.array(DRUG_1), np.array(DRUG_2), -2.5, 2.5)[0]
    assert equivalence_test(sleep(), 2.5) == pytest.approx(published)


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
