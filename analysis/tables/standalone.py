"""A table as an HTML page of its own, in the report's style, its notes under it."""

from __future__ import annotations

from html import escape
from importlib import resources

from analysis.tables.html import html
from analysis.tables.table import Table


def standalone(table: Table) -> str:
    """A whole document that needs nothing but itself."""
    style = resources.files("analysis.page").joinpath("page.css").read_text("utf-8")
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
