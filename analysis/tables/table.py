"""A table as data: what its cells say, and the raw numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

TIE = "≈"


@dataclass(frozen=True)
class Column:
    """A column: `group` heads several neighbours together; `numeric` ones are set to the right.

    `spare`: the higher, the sooner it is left out where there is no room; 0 never. `long`: may be broken over lines.
    """

    title: str
    numeric: bool = True
    group: str = ""
    spare: int = 0
    long: bool = False

    @property
    def lines(self) -> tuple[str, str]:
        """The title over two lines, broken where a unit or an explanation begins."""
        for mark in (" (", ", ", " ["):
            if mark in self.title:
                top, rest = self.title.split(mark, 1)
                return top, f"{mark.strip(' ,')}{rest}"
        return self.title, ""


@dataclass(frozen=True)
class Cell:
    """A cell: `text` in Unicode, ready to read; `data`, raw numbers by CSV column; `sort`, what its column sorts by.

    `best` is set in bold; `tied` is marked as not told apart from the best; `missing` stands out.
    """

    text: str
    data: Mapping[str, float | str | None] = field(default_factory=dict)
    sort: float | None = None
    best: bool = False
    tied: bool = False
    missing: bool = False

    @property
    def marked(self) -> str:
        """The text with the mark of a tie."""
        return f"{self.text}\u00a0{TIE}" if self.tied else self.text


@dataclass(frozen=True)
class Section:
    """Rows under a common heading; an empty title has no heading line."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table; `label` names its files and references. `repeats`: its rows are in other tables too.

    `of`: the label of the ablation's table that it goes with; empty where it goes with several. `advice`: further
    notes, on what to type next; no part of a paper.
    """

    label: str
    title: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    repeats: bool = False
    of: str = ""
    advice: tuple[str, ...] = ()

    def groups(self) -> list[tuple[str, int]]:
        """The column groups in order, each with its number of columns; empty where no column has one."""
        spans = [(group, len(list(columns))) for group, columns in groupby(self.columns, lambda column: column.group)]
        return spans if any(group for group, _ in spans) else []
