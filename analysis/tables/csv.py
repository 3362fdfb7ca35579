"""A table's raw numbers as CSV: full precision, a line each row."""

from __future__ import annotations

import csv
import io

from analysis.tables.table import Table


def comma_separated(table: Table) -> str:
    """All numbers behind the cells, headed by their names; empty where there is no number."""
    rows = [{key: value for cell in row for key, value in cell.data.items()} for s in table.sections for row in s.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
