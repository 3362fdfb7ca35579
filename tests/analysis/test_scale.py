from __future__ import annotations

import numpy as np
import pytest

from terminator.analysis.scale import Scale, near

NEAR = [(-1.0, 1.0), (-0.5, 0.2), (-2.0, -1.0), (0.1, 0.6)]


def test_far_off_values_do_not_stretch_what_is_linear() -> None:
    low, high = near([(-1.0, 1.0), (-20.0, -19.0), (0.5, 2.0), (-1.5, -0.5)], keep=[0.0])
    assert -2 < low < -1.5
    assert 2 < high < 2.5
    low, high = near([(0.0, 0.0), (-0.3, -0.3), (-1.1, -1.1), (2.2, 2.2)], keep=[0.0])
    assert low < -1.1
    assert high > 2.2
    assert near([(5.0, 5.0)], keep=[5.0]) == pytest.approx((4.7, 5.3))


def test_without_far_values_it_is_linear() -> None:
    scale = Scale.of(NEAR, keep=[0.0])
    assert scale.breaks == ()
    assert (scale.low, scale.high) == (scale.near_low, scale.near_high)
    assert scale.share((scale.low + scale.high) / 2) == pytest.approx(0.5)
    assert scale.ticks() == [-2.0, -1.0, 0.0, 1.0]


@pytest.mark.parametrize("far", [-80.0, 1e4, -3e-3])
def test_the_largest_value_is_shown_and_the_small_ones_keep_their_room(far: float) -> None:
    spans = [(low * abs(far) / 40, high * abs(far) / 40) for low, high in NEAR]
    scale = Scale.of([*spans, (far, far)], keep=[0.0])
    assert len(scale.breaks) == 1
    assert scale.low < far < scale.high
    assert 0 < scale.share(far) < 1
    assert scale.share(scale.near_high) - scale.share(scale.near_low) > 0.5
    values = np.linspace(scale.low, scale.high, 50)
    places = scale.forward(values)
    assert (np.diff(places) > 0).all()
    assert scale.inverse(places) == pytest.approx(values)
    ticks = [scale.share(tick) for tick in scale.ticks()]
    assert min(np.diff(ticks)) > 0.05
    assert any(not scale.near_low <= tick <= scale.near_high for tick in scale.ticks())
