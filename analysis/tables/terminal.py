"""A table on the terminal, by rich."""

from __future__ import annotations

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from analysis.tables.table import Cell, Table

WIDTH_WITHOUT_TERMINAL = 140


def print_table(table: Table, console: Console | None = None) -> None:
    """Print to standard output, or to `console`, with an empty line after it."""
    if console is None:
        console = Console()
        if not console.is_terminal:  # a log has no width; a table broken into narrow columns helps nobody there
            console = Console(width=WIDTH_WITHOUT_TERMINAL)
    console.print(terminal(table))
    console.print()


def terminal(table: Table) -> RenderableType:
    """The table and its notes."""
    grid = Grid(title=Text(table.title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in table.columns:
        heading = Text(f"{column.group}\n{column.title}" if column.group else column.title)
        grid.add_column(heading, justify="right" if column.numeric else "left", vertical="top", overflow="fold")
    for section in table.sections:
        if section.title:
            grid.add_section()
            grid.add_row(Text(section.title, style="italic"))
        for row in section.rows:
            grid.add_row(*(_cell(cell) for cell in row))
    return Group(grid, *(Text(note, style="dim") for note in table.notes))


def _cell(cell: Cell) -> Text:
    # Text, never markup: a name may hold square brackets.
    return Text(cell.marked, style="bold" if cell.best else "red" if cell.missing else "")
