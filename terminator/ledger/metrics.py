"""metrics.jsonl: one line an epoch, the truth about a run's curves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from terminator.ledger import files
from terminator.text import counted

NAME = "metrics.jsonl"


def line(row: dict[str, Any]) -> str:
    """One row as it stands in the file."""
    return json.dumps(row, separators=(",", ":")) + "\n"


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row; it has reached the disk when this returns."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(line(row))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict[str, Any]]:
    """The rows in order; none where there is no file. A last line without its end is still being written: left out.

    A file with damaged lines is set aside, and the intact rows take its place.
    """
    try:
        text = path.read_text("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = text.split("\n")[:-1]
    try:
        rows = json.loads(f"[{','.join(lines)}]")
        if len(rows) == len(lines) and all(isinstance(row, dict) and "epoch" in row for row in rows):
            return list(rows)
    except ValueError:
        pass
    rows = [row for each in lines if (row := _row(each)) is not None]
    aside = files.set_aside(path, f"{len(lines) - len(rows)} of {counted(len(lines), 'line')}")
    if aside != path:
        files.write(path, "".join(line(row) for row in rows))
    return rows


def _row(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "epoch" in row else None
