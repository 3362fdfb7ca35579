"""Numbers and times, in messages."""

from __future__ import annotations

import time


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`, `0 runs`, `1,437 points`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def done_already(finished: float) -> str:
    """`done already, 2026-11-20 16:02`, in local time. `finished`: in seconds since 1970."""
    return f"done already, {time.strftime('%Y-%m-%d %H:%M', time.localtime(finished))}"


NEAR = 0.05  # a twin within 5 % of its budget is its size


def signed_percent(share: float) -> str:
    """`−82 %`, `+5 %`, `0 %`."""
    percent = round(100 * share)
    sign = "+" if percent > 0 else "−" if percent < 0 else ""
    return f"{sign}{abs(percent)} %"
