"""The forms of a table: on the terminal, and as CSV, Markdown, LaTeX and HTML files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from terminator.analysis.tables.table import Cell, Table
from terminator.errors import UserError
from terminator.ledger import files
from terminator.text import file_name

if TYPE_CHECKING:
    from jinja2 import Environment

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
        for cells in section.rows:
            styles = ["bold" if cell.best else "red" if cell.missing else "" for cell in cells]
            # Text, never markup: a name may hold square brackets.
            grid.add_row(*(Text(cells[number].marked, style=styles[number]) for number in shown))
    return grid


def comma_separated(table: Table) -> str:
    """All numbers behind the cells in full precision, a line a row, headed by their names."""
    rows = [{key: value for cell in row for key, value in cell.data.items()} for s in table.sections for row in s.rows]
    text: str = pd.DataFrame(rows, dtype=object).to_csv(index=False)
    return text


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
    if table.notes:
        lines += ["", *(f"- {_escaped(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", text.replace("\n", " "))


_MATH = {
    "<": "<", ">": ">", "|": "|", "−": "-", "±": r"\pm", "×": r"\times", "·": r"\cdot", "≈": r"\approx",
    "≥": r"\geq", "≤": r"\leq", "σ": r"\sigma", "⊗": r"\otimes", "⊙": r"\odot", "↳": r"\hookrightarrow",
    "→": r"\rightarrow", "‡": r"\ddagger", "†": r"\dagger", "²": "^2",
}  # fmt: skip
_LATEX: dict[str, str | int | None] = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    **{character: f"${command}$" for character, command in _MATH.items()},
    "\n": " ",
    "\\": r"\textbackslash{}",
    "\u00a0": "~",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "§": r"\S{}",
}


def latex(table: Table) -> str:
    """A floating table with caption and label; the notes stand under it. Input it and compile."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    label = re.sub(r"[^A-Za-z0-9]", "-", table.label)
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{_for_latex(table.title)}}}",
        rf"\label{{tab:{label}}}",
        r"\setlength{\tabcolsep}{3pt}",
        # Centred also where it is wider than the text.
        rf"\makebox[\linewidth][c]{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_latex_head(table),
        r"\midrule",
    ]
    for number, section in enumerate(table.sections):
        if section.title:
            lines += [r"\midrule"] if number else []
            lines.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{\textit{{{_for_latex(section.title)}}}}} \\")
        lines += [_latex_row([_latex_cell(cell) for cell in row]) for row in section.rows]
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if table.notes:
        lines.append(r"\par\medskip\begin{minipage}{\linewidth}\scriptsize")
        lines += [rf"{_for_latex(note)}\par" for note in table.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_head(table: Table) -> list[str]:
    """The groups, if there are any, and titles over two lines, so that eight columns fit a page."""
    lines, groups, rules, start = [], [], [], 1
    for title, width in table.groups():
        groups.append(rf"\multicolumn{{{width}}}{{c}}{{{_for_latex(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    if groups:
        lines += [_latex_row(groups), " ".join(rules)]
    tops, bottoms = zip(*(map(_for_latex, column.lines) for column in table.columns), strict=True)
    return [*lines, _latex_row(tops), *([_latex_row(bottoms)] if any(bottoms) else [])]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_cell(cell: Cell) -> str:
    return rf"\textbf{{\boldmath {_for_latex(cell.marked)}}}" if cell.best else _for_latex(cell.marked)


def _for_latex(text: str) -> str:
    """`text` for LaTeX, with nothing left that it would take for a command or could not print."""
    return re.sub(r"[^\x00-\x7fÀ-ÿ]", "?", text.translate(str.maketrans(_LATEX)))


def html(table: Table) -> str:
    """A `<table class="results">`; each section is a `<tbody>`, and sortable cells have `data-sort`."""
    return templates().get_template("table.html.j2").render(table=table)


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


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Write each table in every form, `<label>.<form>`. Returns the files. Raises UserError if that cannot be done."""
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
