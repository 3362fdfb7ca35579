"""Numbers, times and shares of things, in messages."""

from __future__ import annotations

from datetime import datetime


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`, `0 runs`, `1,437 points`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def moment(seconds: float) -> str:
    """`2026-11-20 16:02`, from seconds since 1970, in local time."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def done_already(finished: float) -> str:
    """`done already, 2026-11-20 16:02`, in local time. `finished`: in seconds since 1970."""
    return f"done already, {moment(finished)}"


NEAR = 0.05  # a size-matched control within 5 % of its budget is of its size


def signed_percent(share: float) -> str:
    """`−82 %`, `+5 %`, `0 %`."""
    percent = round(100 * share)
    sign = "+" if percent > 0 else "−" if percent < 0 else ""
    return f"{sign}{abs(percent)} %"
