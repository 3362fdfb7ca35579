"""The learning rate over a run: linear warm-up, then cosine to 0 (spec §8)."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """The factor of the peak learning rate that step `step` (from 0) of `total_steps` is taken with.

    Warm-up rises from 1/warmup_steps, the "≈ 0" of spec §8, to 1 at the last of its steps; the cosine then falls and
    would reach 0 at step `total_steps`, the first one not taken. A run shorter than its warm-up never falls.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))
