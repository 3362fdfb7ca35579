"""Screens of a made-up system, judged as real ones are."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.screening import BY_ITSELF, SUMS, System, accuracies, screen


@pytest.mark.parametrize(("system", "found"), [(SUMS, 0.9), (BY_ITSELF, 0.4)])
def test_what_does_nothing_is_not_called_although_cells_collapse(system: System, found: float) -> None:
    """Of 40 screens no more are wrong than a rate of 5 % leaves likely (2 expected, 7 with less than 0.3 %)."""
    random = np.random.default_rng(7)
    judged = [screen(accuracies(random, 5, system), "logits", system) for _ in range(40)]
    assert sum(each.wrong for each in judged) < 7
    assert np.mean([each.found for each in judged]) > found


def test_in_points_collapsed_cells_would_make_effects_of_nothing() -> None:
    random = np.random.default_rng(7)
    assert np.mean([screen(accuracies(random, 8), "points").wrong for _ in range(10)]) > 0.5
