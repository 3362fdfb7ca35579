"""The schedule, by hand."""

from __future__ import annotations

import pytest

from terminator.training.step import learning_rate_factor


def test_warm_up_then_cosine() -> None:
    factors = [learning_rate_factor(step, warmup_steps=4, total_steps=8) for step in range(8)]
    half = 2**-0.5
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, (1 + half) / 2, 0.5, (1 - half) / 2])


def test_without_warm_up_it_starts_at_the_peak_and_would_end_at_zero() -> None:
    assert learning_rate_factor(0, warmup_steps=0, total_steps=10) == 1.0
    assert learning_rate_factor(10, warmup_steps=0, total_steps=10) == pytest.approx(0.0, abs=1e-15)


def test_a_run_shorter_than_its_warm_up_only_rises() -> None:
    assert [learning_rate_factor(step, warmup_steps=4, total_steps=2) for step in range(2)] == [0.25, 0.5]
