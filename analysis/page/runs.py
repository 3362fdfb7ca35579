"""Every run as the page shows it: what it differs in, where it ran, how it ended, how to repeat it."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from terminator.analysis.results import Question, Results
from terminator.analysis.summary import Summary
from terminator.analysis.text import NOTHING, number
from terminator.planning.ablation import to_overrides

TAIL_BYTES = 4096
TAIL_LINES = 25
MOST_KEYS = 12
NO_PART_OF_A_RUN = ("ablation", "sweep.", "cluster", "hydra", "tracking.")  # of what a sweep's command may say
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class ShownRun:
    """A run in words. `why` says what became of a run without a result; `log` is the end of what it said."""

    variant: str
    seed: int
    state: str
    why: str
    value: str
    difference: str
    command: str
    key: str
    commit: str
    where: str
    attempts: str
    finished: str
    link: str | None
    log: str

    @property
    def done(self) -> bool:
        """Whether it has a result."""
        return self.state == "done"


def shown_runs(results: Results, summary: Summary) -> list[ShownRun]:
    """The runs of one ablation, variants in the table's order."""
    order = {variant.name: position for position, variant in enumerate(summary.variants)}
    changes = {variant.name: variant.change.keys for variant in summary.variants}
    values = {variant.name: variant.values for variant in summary.variants}
    rows = results.of(summary.question).to_dict("records")
    rows.sort(key=lambda row: (order[row["variant"]], row["seed"]))
    shown = []
    for row in rows:
        value = values[row["variant"]].get(row["seed"])
        shown.append(
            ShownRun(
                variant=str(row["variant"]),
                seed=int(row["seed"]),
                state=str(row["state"]),
                why=" – ".join(filter(None, (_text(row["reason"]).replace("_", " "), _text(row["message"])))),
                value=NOTHING if value is None else number(value, 2),
                difference=_difference(changes[row["variant"]], row["overrides"]),
                command=_command(summary.question, row),
                key=_text(row["key"]),
                commit=_commit(row),
                where=", ".join(filter(None, (_text(row["host"]), _text(row["job"])))) or NOTHING,
                attempts=NOTHING if pd.isna(row["attempts"]) else str(int(row["attempts"])),
                finished=_when(row["finished"]),
                link=_text(row["link"]) or None,
                log=log_tail(_text(row["log_path"])),
            )
        )
    return shown


def log_tail(path: str) -> str:
    """The last lines of a log, without reading the rest of it; a note where it cannot be read."""
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError as error:
        return f"({error.strerror})"
    return "\n".join(_printed(line) for line in text.rstrip("\n").split("\n")[-TAIL_LINES:])


def _printed(line: str) -> str:
    """What a terminal would show: after the last carriage return, without colours and other control characters."""
    last = COLOUR.sub("", line.rstrip("\r").rpartition("\r")[2])
    return "".join(character for character in last if character.isprintable() or character == "\t")


def _command(question: Question, row: Mapping[Hashable, Any]) -> str:
    """The one command that repeats a run; empty where the overrides are not known."""
    overrides = row["overrides"]
    if not isinstance(overrides, dict) or not question.command:
        return ""
    base = [word for word in question.base if not word.lstrip("+~").startswith(NO_PART_OF_A_RUN)]
    words = [*base, *to_overrides(overrides), f"seed={row['seed']}"]
    return shlex.join(["python", "-m", "terminator.run", *words])


def _difference(keys: Mapping[str, tuple[Any, Any]], overrides: Any) -> str:
    """Every key that changed; of another network, with most keys changed, the words that chose it."""
    if len(keys) > MOST_KEYS and isinstance(overrides, dict) and len(overrides) < len(keys):
        return " ".join(to_overrides(overrides))
    return "; ".join(_changes(keys)) or NOTHING


def _changes(keys: Mapping[str, tuple[Any, Any]]) -> Iterator[str]:
    for key, (before, after) in keys.items():
        yield f"{key}: {_word(before)} → {_word(after)}"


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _commit(row: Mapping[Hashable, Any]) -> str:
    commit = _text(row["commit"])
    if not commit:
        return NOTHING
    return f"{commit[:10]} + changes" if row["dirty"] is True else commit[:10]


def _when(seconds: Any) -> str:
    return NOTHING if pd.isna(seconds) else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(seconds)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
