"""Axis limits that one far-off value does not spoil for the others."""

from __future__ import annotations

from collections.abc import Sequence

FAR = 4.0
KEPT = 0.75  # of the spans, at least


def clipped(spans: Sequence[tuple[float, float]], *, keep: Sequence[float] = ()) -> tuple[float, float]:
    """Limits that hold `keep` and the spans, but for those that would stretch the axis more than `FAR` times.

    What lies outside is to be drawn at the edge, with its number. Raises ValueError without any number.
    """
    inner = sorted(spans, key=lambda span: _reach(span, keep))
    low = min([*keep, *(inner[0] if inner else ())])
    high = max([*keep, *(inner[0] if inner else ())])
    for position, span in enumerate(inner):
        wider_low, wider_high = min(low, span[0]), max(high, span[1])
        if position >= KEPT * len(inner) and wider_high - wider_low > FAR * (high - low) > 0:
            break
        low, high = wider_low, wider_high
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin


def _reach(span: tuple[float, float], keep: Sequence[float]) -> float:
    """How far a span lies from what is kept, or from zero."""
    middle = (span[0] + span[1]) / 2
    return min((abs(middle - each) for each in keep), default=abs(middle))
