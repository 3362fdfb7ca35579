"""A table on the terminal, by rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from analysis.tables.table import Cell, Table

WIDTH_WITHOUT_TERMINAL = 200
UNBOUNDED = 10_000


def print_table(table: Table, console: Console | None = None) -> None:
    """Print to standard output, or to `console`, with an empty line after it.

    On a narrow terminal the columns that can be spared are left out, and named: squeezed numbers would be torn apart.
    """
    if console is None:
        console = Console()
        if not console.is_terminal:  # a log has no width
            console = Console(width=WIDTH_WITHOUT_TERMINAL)
    shown = list(range(len(table.columns)))
    unbounded = console.options.update(width=UNBOUNDED)
    while console.measure(_grid(table, shown), options=unbounded).maximum > console.width:
        spare = max(shown, key=lambda number: (table.columns[number].spare, number))
        if not table.columns[spare].spare:
            break
        shown.remove(spare)
    console.print(_grid(table, shown))
    for note in table.notes:
        console.print(Text(note, style="dim"))
    left_out = [column.title for number, column in enumerate(table.columns) if number not in shown]
    if left_out:
        console.print(Text(f"Left out for want of room: {', '.join(left_out)}.", style="dim"))
    console.print()


def _grid(table: Table, shown: Sequence[int]) -> Grid:
    grid = Grid(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for number in shown:
        column = table.columns[number]
        lines = [column.group, *column.lines] if column.group else column.lines
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        grid.add_column(Text("\n".join(lines)), justify=justify, overflow="fold", no_wrap=column.numeric)
    for section in table.sections:
        if section.title:
            grid.add_section()
            grid.add_row(Text(section.title, style="italic"))
        for row in section.rows:
            grid.add_row(*(_cell(row[number]) for number in shown))
    return grid


def _cell(cell: Cell) -> Text:
    # Text, never markup: a name may hold square brackets.
    return Text(cell.marked, style="bold" if cell.best else "red" if cell.missing else "")
