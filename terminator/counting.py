"""Numbers of things, in messages."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """`1 run`, `2 runs`, `0 runs`, `1,437 points`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
