"""A scale that shows small differences and the largest at once: linear where most values are, logarithmic beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

import numpy as np

from terminator.analysis.statistics.tests import FloatArray
from terminator.analysis.statistics.verdict import Comparison

FAR = 4.0  # times that an outlier may stretch what is linear
KEPT = 0.75  # of the spans, at least, are within it
DECADE = 0.5  # of half the linear part's width, that ten times the distance takes
MARGIN = 0.06
NICE = (1.0, 2.0, 5.0)
APART = 0.11  # of the scale, between two ticks


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`; linear between `near_low` and `near_high`, logarithmic from there on."""

    low: float
    high: float
    near_low: float
    near_high: float

    @classmethod
    def of(cls, spans: Sequence[tuple[float, float]], keep: Sequence[float] = ()) -> Scale:
        """The scale that shows `keep` and all spans. Raises ValueError without any number."""
        near_low, near_high = near(spans, keep)
        values = [near_low, near_high, *(end for span in spans for end in span)]
        found = cls(min(values), max(values), near_low, near_high)
        low, high = (float(found.forward(each)) for each in (found.low, found.high))
        margin = MARGIN * (high - low)
        return cls(
            float(found.inverse(low - margin)) if found.low < near_low else near_low,
            float(found.inverse(high + margin)) if found.high > near_high else near_high,
            near_low,
            near_high,
        )

    @property
    def breaks(self) -> tuple[float, ...]:
        """Where it turns logarithmic."""
        ends = ((self.near_low, self.low < self.near_low), (self.near_high, self.high > self.near_high))
        return tuple(end for end, is_broken in ends if is_broken)

    @property
    def _centre(self) -> float:
        return (self.near_low + self.near_high) / 2

    @property
    def _half(self) -> float:
        return (self.near_high - self.near_low) / 2

    def forward(self, values: FloatArray | float) -> FloatArray:
        """Places: −1 … 1 in the linear part."""
        places = (np.asarray(values, dtype=np.float64) - self._centre) / self._half
        far = np.maximum(np.abs(places), 1.0)
        return np.where(np.abs(places) <= 1, places, np.sign(places) * (1 + DECADE * np.log10(far)))

    def inverse(self, places: FloatArray | float) -> FloatArray:
        """What is shown at these places."""
        given = np.asarray(places, dtype=np.float64)
        far = 10.0 ** ((np.maximum(np.abs(given), 1.0) - 1) / DECADE)
        return self._centre + self._half * np.where(np.abs(given) <= 1, given, np.sign(given) * far)

    def share(self, value: float) -> float:
        """How far `value` is along the scale, 0 … 1; at its ends what lies beyond them."""
        low, high = float(self.forward(self.low)), float(self.forward(self.high))
        return float(np.clip((float(self.forward(value)) - low) / (high - low), 0.0, 1.0))

    def ticks(self) -> list[float]:
        """Round numbers, none too near to another: those of the linear part first."""
        step = self._half / 2
        power = 10.0 ** floor(log10(step))
        step = next(nice * power for nice in (*NICE, 10.0) if nice * power >= step * (1 - 1e-9))
        first = int(np.ceil(self.near_low / step - 1e-9))
        last = int(np.floor(self.near_high / step + 1e-9))
        found = [number * step for number in range(first, last + 1)]
        for end in self.breaks:
            farthest = self.low if end == self.near_low else self.high
            found += self._kept_apart(found, self._far_ticks(farthest))
        return sorted(found)

    def _far_ticks(self, farthest: float) -> list[float]:
        """Round numbers from the end of the linear part to `farthest`, the farthest first."""
        sign = 1.0 if farthest > self._centre else -1.0
        reach = abs(farthest - self._centre)
        powers = range(floor(log10(self._half)), floor(log10(reach)) + 1)
        distances = [nice * 10.0**power for power in powers for nice in NICE]
        rounded = [float(round(self._centre + sign * each, -floor(log10(each)))) + 0.0 for each in reversed(distances)]
        return [
            each for each in rounded if self.low <= each <= self.high and not self.near_low <= each <= self.near_high
        ]

    def _kept_apart(self, taken: Sequence[float], candidates: Sequence[float]) -> list[float]:
        kept: list[float] = []
        for each in candidates:
            if all(abs(self.share(each) - self.share(other)) >= APART for other in (*taken, *kept)):
                kept.append(each)
        return kept


def near(spans: Sequence[tuple[float, float]], keep: Sequence[float] = ()) -> tuple[float, float]:
    """Limits that hold `keep` and the spans, but for those that would stretch them more than `FAR` times.

    Raises ValueError without any number.
    """

    def distance(span: tuple[float, float]) -> float:
        """From what is kept, or from zero."""
        return min(abs(sum(span) / 2 - each) for each in keep or [0.0])

    inner = sorted(spans, key=distance)
    known = [*keep, *(inner[0] if inner else ())]
    low, high = min(known), max(known)
    for position, span in enumerate(inner):
        wider_low, wider_high = min(low, span[0]), max(high, span[1])
        if position >= KEPT * len(inner) and wider_high - wider_low > FAR * (high - low) > 0:
            break
        low, high = wider_low, wider_high
    margin = MARGIN * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin


def span(comparison: Comparison) -> tuple[float, float]:
    """What a plot has to hold of a comparison: its differences, and its interval unless that is much wider.

    A wide interval of two or three seeds runs over the edge rather than squeeze the others.
    """
    pairs, interval = comparison.pairs, comparison.interval
    differences = pairs.differences.tolist()
    values = [*differences, *((interval.low, interval.high) if interval else ())]
    reach = 3 * max(abs(value - pairs.mean) for value in differences)
    low, high = max(min(values), pairs.mean - reach), min(max(values), pairs.mean + reach)
    return min(low, *differences), max(high, *differences)
