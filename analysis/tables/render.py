"""A table's raw numbers as CSV: full precision, a line each row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from terminator.analysis.tables.table import Cell, Column, Section, Table


def comma_separated(table: Table) -> str:
    """All numbers behind the cells, headed by their names; empty where there is no number."""
    rows = [{key: value for cell in row for key, value in cell.data.items()} for s in table.sections for row in s.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#])")


def markdown(table: Table) -> str:
    """The title as a heading, the table, the notes as a list."""
    lines = [f"### {_escape(table.title)}", ""]
    titles = [f"{column.group}: {column.title}" if column.group else column.title for column in table.columns]
    lines.append(_line([_escape(title) for title in titles]))
    lines.append(_line(["---:" if column.numeric else "---" for column in table.columns]))
    for section in table.sections:
        if section.title:
            lines.append(_line([f"*{_escape(section.title)}*", *[""] * (len(table.columns) - 1)]))
        lines += [_line([_markdown_cell(cell) for cell in row]) for row in section.rows]
    notes = [f"- {_escape(note)}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _markdown_cell(cell: Cell) -> str:
    return f"**{_escape(cell.marked)}**" if cell.best else _escape(cell.marked)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))


_CHARACTERS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "\u00a0": "~",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"\textquotedbl{}",
    "−": r"$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "σ": r"$\sigma$",
    "⊗": r"$\otimes$",
    "⊙": r"$\odot$",
    "↳": r"$\hookrightarrow$",
    "→": r"$\rightarrow$",
    "‡": r"$\ddagger$",
    "†": r"$\dagger$",
    "–": r"--",
    "—": r"---",
    "’": r"'",
    "“": r"``",
    "”": r"''",
    "…": r"\ldots{}",
    "²": r"$^2$",
    "§": r"\S{}",
}


def latex(table: Table) -> str:
    """A floating table with caption and label; the notes stand under it. Input it and compile."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{_escape_latex(table.title)}}}",
        rf"\label{{tab:{_label(table.label)}}}",
        r"\setlength{\tabcolsep}{3pt}",
        # Centred also where it is wider than the text.
        rf"\makebox[\linewidth][c]{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        *_group_lines(table),
        *_heading_lines(table.columns),
        r"\midrule",
    ]
    for number, section in enumerate(table.sections):
        lines += _section_lines(section, len(table.columns), first=number == 0)
    lines += [r"\bottomrule", r"\end{tabular}}"]
    if table.notes:
        lines.append(r"\par\medskip\begin{minipage}{\linewidth}\scriptsize")
        lines += [rf"{_escape_latex(note)}\par" for note in table.notes]
        lines.append(r"\end{minipage}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _escape_latex(text: str) -> str:
    """`text` for LaTeX, with nothing left that it would take for a command or could not print."""
    printed = (_CHARACTERS.get(character, character) for character in text.replace("\n", " "))
    return "".join(each if each.isascii() or _is_latin(each) else "?" for each in printed)


def _is_latin(character: str) -> bool:
    return "À" <= character <= "ÿ"


def _label(text: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "-" for character in text)


def _group_lines(table: Table) -> list[str]:
    spans = table.groups()
    if not spans:
        return []
    cells, rules, start = [], [], 1
    for title, width in spans:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_escape_latex(title)}}}")
        if title:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [" & ".join(cells) + r" \\", " ".join(rules)]


def _heading_lines(columns: tuple[Column, ...]) -> list[str]:
    """Titles over two lines, so that eight columns fit a page."""
    tops, bottoms = zip(*(map(_escape_latex, column.lines) for column in columns), strict=True)
    lines = [" & ".join(tops) + r" \\"]
    return [*lines, " & ".join(bottoms) + r" \\"] if any(bottoms) else lines


def _section_lines(section: Section, width: int, *, first: bool) -> list[str]:
    lines = []
    if section.title:
        lines += [] if first else [r"\midrule"]
        lines.append(rf"\multicolumn{{{width}}}{{@{{}}l}}{{\textit{{{_escape_latex(section.title)}}}}} \\")
    return lines + [" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in section.rows]


def _latex_cell(cell: Cell) -> str:
    text = _escape_latex(cell.marked)
    return rf"\textbf{{\boldmath {text}}}" if cell.best else text


def standalone(table: Table) -> str:
    """A whole document that needs nothing but itself."""
    style = resources.files("terminator.analysis.page").joinpath("page.css").read_text("utf-8")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(table.title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f'<div class="scroll">{html(table)}</div>',
            '<ul class="notes">',
            *(f"<li>{escape(note)}</li>" for note in table.notes),
            "</ul>",
            "</body>",
            "</html>\n",
        ]
    )


def html(table: Table) -> str:
    """A `<table class="results">`; each section is a `<tbody>`, and sortable cells have `data-sort`."""
    parts = ['<table class="results">', f"<caption>{escape(table.title)}</caption>", "<thead>"]
    spans = table.groups()
    if spans:
        cells = "".join(f'<th scope="colgroup" colspan="{width}">{escape(title)}</th>' for title, width in spans)
        parts.append(f'<tr class="groups">{cells}</tr>')
    parts.append(f"<tr>{''.join(map(_heading, table.columns))}</tr></thead>")
    for section in table.sections:
        parts.append("<tbody>")
        if section.title:
            title = escape(section.title)
            parts.append(f'<tr class="section"><th scope="rowgroup" colspan="{len(table.columns)}">{title}</th></tr>')
        for row in section.rows:
            cells = "".join(_html_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody>")
    return "\n".join([*parts, "</table>"])


def _heading(column: Column) -> str:
    return f'<th scope="col"{_class(number=column.numeric)}>{escape(column.title)}</th>'


def _html_cell(cell: Cell, column: Column) -> str:
    sort = "" if cell.sort is None else f' data-sort="{cell.sort!r}"'
    attributes = _class(number=column.numeric, long=column.long, best=cell.best, missing=cell.missing)
    return f"<td{attributes}{sort}>{escape(cell.marked)}</td>"


def _class(**words: bool) -> str:
    chosen = [word for word, holds in words.items() if holds]
    return f' class="{" ".join(chosen)}"' if chosen else ""


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
            grid.add_row(*(_terminal_cell(row[number]) for number in shown))
    return grid


def _terminal_cell(cell: Cell) -> Text:
    # Text, never markup: a name may hold square brackets.
    return Text(cell.marked, style="bold" if cell.best else "red" if cell.missing else "")
