"""Override words in a narrow column, broken where they have joints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

JOINTS = re.compile(r"(?<=,)|(?<=\.)(?!\d)")  # after a comma, and after a dot that is no decimal point


def broken(word: str, width: int) -> list[str]:
    """The word in lines of at most `width`, each as full as its joints allow; longer only where it has none."""
    lines = [""]
    for piece in JOINTS.split(word):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


class Words:
    """Words one below the other, each in as many lines as the width of its cell asks for."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for word in self._words for line in broken(word, options.max_width)]
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_longest(broken(word, 1) for word in self._words), _longest([self._words]))


def _longest(groups: Iterable[Sequence[str]]) -> int:
    return max((len(each) for group in groups for each in group), default=0)
