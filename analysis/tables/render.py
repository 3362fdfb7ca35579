"""The forms of a table: on the terminal, and as CSV, Markdown, LaTeX and HTML files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from terminator.analysis.tables.latex import latex
from terminator.analysis.tables.table import Table
from terminator.errors import UserError
from terminator.ledger import files
from terminator.text import file_name

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTH_WITHOUT_TERMINAL = 200
UNBOUNDED = 10_000
FORMULA = ("=", "+", "-", "−", "@", "\t", "\r")


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
    for note in (*table.notes, *table.advice):
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
        for cells in section.rows:
            styles = ["bold" if cell.best else "red" if cell.missing else "" for cell in cells]
            # Text, never markup: a name may hold square brackets.
            grid.add_row(*(Text(cells[number].marked, style=styles[number]) for number in shown))
    return grid


def comma_separated(table: Table) -> str:
    """All numbers behind the cells in full precision, a line a row, headed by their names.

    Text that a spreadsheet would take for a formula has an apostrophe before it, which spreadsheets do not show.
    """
    rows = [
        {_for_csv(key): _for_csv(value) for cell in row for key, value in cell.data.items()}
        for section in table.sections
        for row in section.rows
    ]
    text: str = pd.DataFrame(rows, dtype=object).to_csv(index=False)
    return text


def _for_csv(value: float | str | None) -> float | str | None:
    """Text that is no formula, and NaN as text: pandas would leave it empty, as what is not there."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return "NaN" if value is not None and isnan(value) else value


def markdown(table: Table) -> str:
    """The title as a heading, the table, the notes as a list."""
    titles = [f"{column.group}: {column.title}" if column.group else column.title for column in table.columns]
    rows = [[_escaped(title) for title in titles], ["---:" if column.numeric else "---" for column in table.columns]]
    for section in table.sections:
        if section.title:
            rows.append([f"*{_escaped(section.title)}*", *[""] * (len(titles) - 1)])
        for cells in section.rows:
            rows.append([f"**{_escaped(cell.marked)}**" if cell.best else _escaped(cell.marked) for cell in cells])
    lines = [f"### {_escaped(table.title)}", "", *(f"| {' | '.join(row)} |" for row in rows)]
    if notes := (*table.notes, *table.advice):
        lines += ["", *(f"- {_escaped(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", text.replace("\n", " "))


def standalone(table: Table) -> str:
    """A whole document that needs nothing but itself."""
    return templates().get_template("table_page.html.j2").render(table=table)


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The HTML templates; everything they are given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # not before the terminal has its table

    environment = Environment(
        loader=PackageLoader("terminator.analysis", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["zip"] = zip
    return environment


FORMS = {".md": markdown, ".tex": latex, ".csv": comma_separated, ".html": standalone}


def check_writable(folder: Path, named: str, remedy: str = "") -> None:
    """Raise UserError where no file could be written into `folder`, which may be missing yet.

    The message begins with `named` and ends with `remedy`.
    """
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UserError(f"{named}: cannot be written: {there} is no folder{remedy}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{named}: cannot be written: no rights to write in {there}{remedy}")


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Write each table in every form, `<label>.<form>`. Returns the files. Raises UserError if there is no folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={folder}: cannot be written ({error.strerror})") from None
    written = []
    for table in tables:
        for suffix, render in FORMS.items():
            path = folder / file_name(f"{table.label}{suffix}")
            files.write(path, render(table))
            written.append(path)
    return written
