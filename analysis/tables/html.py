"""A table as HTML that carries what its columns sort by."""

from __future__ import annotations

from html import escape

from analysis.tables.table import Cell, Column, Table


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
            cells = "".join(_cell(cell, column) for cell, column in zip(row, table.columns, strict=True))
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</tbody>")
    return "\n".join([*parts, "</table>"])


def _heading(column: Column) -> str:
    return f'<th scope="col"{_class(number=column.numeric)}>{escape(column.title)}</th>'


def _cell(cell: Cell, column: Column) -> str:
    sort = "" if cell.sort is None else f' data-sort="{cell.sort!r}"'
    attributes = _class(number=column.numeric, long=column.long, best=cell.best, missing=cell.missing)
    return f"<td{attributes}{sort}>{escape(cell.marked)}</td>"


def _class(**words: bool) -> str:
    chosen = [word for word, holds in words.items() if holds]
    return f' class="{" ".join(chosen)}"' if chosen else ""
