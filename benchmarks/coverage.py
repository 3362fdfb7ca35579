"""Do the verdicts keep their word? Simulated ablations with known effects, judged by the code that judges real ones.

    python benchmarks/coverage.py [TABLES]

A table has ten variants; a result is the seed's own level + the variant's effect + noise. Printed, in Markdown: for each
kind of noise the chance that some variant of a table without effect is called better or worse, and that some variant
just at the margin is called no effect, with planned looks, for a user who types one more seed again and again, and, to
show what is at stake, for looks each at the full 5 %; how often the interval at which a row stops holds the truth; and
what planned looks decide, in how many runs, beside fixed numbers of seeds. Effects and margin are in spreads: standard
deviations of a paired difference of two equal variants.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from terminator.analysis.statistics.looks import BETTER, EQUIVALENT, UNDECIDED, WORSE, Look, LookPlan, judge, next_alpha
from terminator.analysis.statistics.tests import BoolArray, FloatArray, moments

VARIANTS = 10
MARGIN = 1.8
BATCH = 5_000  # tables at a time
PLAN = LookPlan()
Random = np.random.Generator
Effects = FloatArray  # of each variant


def equal(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """Normal noise, (tables, 1 + variants, seeds), the baseline first; a difference of two has a spread of 1."""
    return random.normal(0.0, sqrt(0.5), shape)


def one_wild(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """One variant whose differences have 20 times the spread."""
    noise = equal(random, shape)
    noise[:, 1] *= sqrt(2 * 20**2 - 1)
    return noise


def log_normal(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """Every row with a spread of its own, drawn from a log-normal distribution."""
    return equal(random, shape) * random.lognormal(0.0, 1.0, (*shape[:2], 1))


def wild_baseline(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """A baseline with three times the noise."""
    noise = equal(random, shape)
    noise[:, 0] *= 3
    return noise


def heavy_tails(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """Student's t with three degrees of freedom, at the same standard deviation."""
    return random.standard_t(3, shape) * sqrt(0.5 / 3)


def failing(random: Random, shape: tuple[int, ...]) -> FloatArray:
    """One run in twenty fails."""
    return np.where(random.random(shape) < 0.05, np.nan, equal(random, shape))


IMAGES, ACCURACY = 360, 0.995
IMAGE_SPREAD = sqrt(2 * ACCURACY * (1 - ACCURACY) / IMAGES)


def binomial(random: Random, effects: Effects, shape: tuple[int, ...]) -> FloatArray:
    """Accuracies on 360 images, 99.5 % without effect, in spreads of two of these."""
    chance = ACCURACY - IMAGE_SPREAD * np.concatenate([[0.0], effects])
    return random.binomial(IMAGES, np.clip(chance, 0, 1)[:, None], shape) / IMAGES / -IMAGE_SPREAD


def shifted(noise: Callable[[Random, tuple[int, ...]], FloatArray]) -> Callable[[Random, Effects, tuple[int, ...]], FloatArray]:
    def draw(random: Random, effects: Effects, shape: tuple[int, ...]) -> FloatArray:
        return noise(random, shape) + np.concatenate([[0.0], effects])[:, None]

    return draw


SCENARIOS = {
    "equal spreads": shifted(equal),
    "one variant with 20 times the spread": shifted(one_wild),
    "log-normal spreads": shifted(log_normal),
    "baseline with 3 times the noise": shifted(wild_baseline),
    "t₃ tails": shifted(heavy_tails),
    "one run in twenty fails": shifted(failing),
    "360 images near 99.5 %": binomial,
}
