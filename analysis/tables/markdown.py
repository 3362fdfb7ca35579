"""A table as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from analysis.tables.table import Cell, Table

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
        lines += [_line([_cell(cell) for cell in row]) for row in section.rows]
    notes = [f"- {_escape(note)}" for note in table.notes]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _cell(cell: Cell) -> str:
    return f"**{_escape(cell.marked)}**" if cell.best else _escape(cell.marked)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text.replace("\n", " "))
