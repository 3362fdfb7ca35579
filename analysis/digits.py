"""Numbers as text: as many digits as their spread bears out."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, log10
from statistics import median

MINUS = "−"
NOTHING = "–"


def decimals(spreads: Iterable[float], default: int = 2) -> int:
    """Decimals for a column whose numbers are uncertain by `spreads`: the typical one is to show two significant digits
    where they begin with 10 … 35, else one (the rule of the Particle Data Group). `default` where there is no spread.
    """
    known = [spread for spread in spreads if isfinite(spread) and spread > 0]
    if not known:
        return default
    typical = median(known)
    power = floor(log10(typical))
    return min(4, max(0, 1 - power if typical / 10.0 ** (power - 1) < 35.5 else -power))


def number(value: float, places: int, *, sign: bool = False) -> str:
    """With a true minus; with `sign`, a plus too; no negative zero."""
    if not isfinite(value):
        return NOTHING
    text = f"{round(value, places) + 0.0:{'+' if sign else ''},.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def significant(value: float, digits: int = 3) -> str:
    """With so many significant digits; whole numbers stay whole."""
    if not isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    return number(value, max(0, digits - 1 - floor(log10(abs(value)))))


def p_value(value: float | None) -> str:
    """Two significant digits, never below one in a thousand, never 0 and never above 1."""
    if value is None or not isfinite(value):
        return NOTHING
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"
