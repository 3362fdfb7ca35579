"""How near a twin comes to its budget. Imports nothing, for plans and tables alike."""

from __future__ import annotations

NEAR = 0.05  # a twin within 5 % of its budget is its size


def signed_percent(share: float) -> str:
    """`−82 %`, `+5 %`, `0 %`."""
    percent = round(100 * share)
    sign = "+" if percent > 0 else "−" if percent < 0 else ""
    return f"{sign}{abs(percent)} %"
