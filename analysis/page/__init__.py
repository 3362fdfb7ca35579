"""The report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import time
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from terminator.analysis.figures import DIFFERENCES, Drawn
from terminator.analysis.methods import listed, methods
from terminator.analysis.mlflow import LOCAL_UI
from terminator.analysis.page.glossary import glossary
from terminator.analysis.page.picture import picture
from terminator.analysis.results import Question, Results
from terminator.analysis.summary import Summary
from terminator.analysis.tables.notes import MISSING, missing_runs
from terminator.analysis.tables.render import templates
from terminator.analysis.tables.table import Table
from terminator.analysis.text import NOTHING, number, sentence
from terminator.config import MachineConfig
from terminator.ledger import RunState
from terminator.text import counted, to_overrides
from terminator.tracking.uri import default_uri, sqlite_path

TAIL_BYTES = 4096
MOST_LOGS = 200  # of runs that are done, in a page
TAIL_LINES = 25
OPEN = (RunState.pending, RunState.running, RunState.preempted, RunState.interrupted)
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Part:
    """One ablation's part of the page."""

    label: str
    summary: Summary
    tables: Sequence[Table]
    figures: Sequence[Drawn]


def render_page(results: Results, parts: Sequence[Part], shared: Sequence[Table]) -> str:
    """The page; `shared` are the tables that belong to no single ablation. Everything in it is escaped."""
    script = templates().get_template("page.js").render()
    digest = _base64(hashlib.sha256(script.encode()).digest())
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            title=" · ".join(part.label for part in parts),
            parts=[_content(results, part) for part in parts],
            shared=shared,
            source=results.source,
            # Nothing may run or load but this very script, whatever a name or a log holds.
            policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        )
    )


def _content(results: Results, part: Part) -> dict[str, object]:
    summary, first = part.summary, part.tables[0]
    runs = shown_runs(results, summary)
    states = Counter(str(run["state"]) for run in runs)
    drawn = picture(summary, first)
    effects = [table for table in part.tables if summary.is_screen and table.label == f"{part.label}-screen"]
    figures = [each for each in part.figures if drawn is None or each.name != DIFFERENCES]  # the picture shows them
    return {
        "label": part.label,
        "title": summary.question.title() if summary.question.ablation.question else part.label,
        "sweep": summary.question.sweep.id,
        "command": shlex.join(summary.question.sweep.command),
        "summary": summary,
        "seeds": listed(sorted({seed for variant in summary.variants for seed in variant.values})),
        "table": first,
        "notes": [note for note in (*first.notes, *first.advice) if not note.startswith(MISSING)],  # `lost` has those
        "picture": drawn,
        "sentences": [sentence(summary.effects or summary, row) for row in summary.judged],
        "glossary": glossary(summary),
        "methods": methods(results, summary),
        "effects": effects,
        "tables": [table for table in part.tables[1:] if table not in effects],
        "figures": [(f"data:image/png;base64,{_base64(each.png.read_bytes())}", each.caption) for each in figures],
        "runs": runs,
        "lost": missing_runs(summary),
        "unfinished": unfinished(states),
        "viewer": _viewer(results) if any(str(run["link"]).startswith(LOCAL_UI) for run in runs) else "",
        "counts": ", ".join(f"{count} {state}" for state, count in states.items()),
    }


def unfinished(states: Mapping[str, int]) -> str:
    """How far a sweep is that is not over, as a sentence; empty for one that is. `states`: state → number of runs."""
    if not (to_come := sum(states.get(each.value, 0) for each in OPEN)):
        return ""
    done, runs = states.get(RunState.done.value, 0), counted(sum(states.values()), "run")
    return f"Not finished: {done:,} of {runs} done, {to_come:,} to come."


def _viewer(results: Results) -> str:
    """The command that serves a sqlite store."""
    is_store = sqlite_path(results.source) is not None
    store = results.source if is_store else default_uri(Path(results.source).absolute())
    return shlex.join(["mlflow", "ui", "--backend-store-uri", store])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def shown_runs(results: Results, summary: Summary) -> list[dict[str, object]]:
    """The runs of one ablation as text, variants in the table's order.

    `why` says what became of a run without a result; `log` is the end of its log, of many runs only of those that are
    not done.
    """
    variants = {variant.name: variant for variant in summary.variants}
    places = {name: place for place, name in enumerate(variants)}
    rows = results.of(summary.question).to_dict("records")
    rows.sort(key=lambda row: (places[row["variant"]], row["seed"]))
    shown = []
    for row in rows:
        value = variants[row["variant"]].values.get(row["seed"])
        text = {name: value if isinstance(value, str) else "" for name, value in row.items()}
        leave_out = row["state"] == "done" and bool(text["log_path"]) and len(rows) > MOST_LOGS
        changes = text["commit"] and row["dirty"] is True
        shown.append(
            {
                "variant": row["variant"],
                "seed": row["seed"],
                "state": row["state"],
                "done": row["state"] == "done",
                "why": " – ".join(filter(None, (text["reason"].replace("_", " "), text["message"]))),
                "value": NOTHING if value is None else number(value, 2),
                "command": _command(summary.question, row),
                "key": text["key"],
                "commit": (text["commit"][:10] or NOTHING) + (" + changes" if changes else ""),
                "where": ", ".join(filter(None, (text["host"], text["job"]))) or NOTHING,
                "attempts": NOTHING if pd.isna(row["attempts"]) else int(row["attempts"]),
                "finished": _when(row["finished"]),
                "link": text["link"],
                "log": "" if leave_out else log_tail(text["log_path"]),
                "log_left_out": leave_out,
            }
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
    return "\n".join(map(_printed, text.rstrip("\n").split("\n")[-TAIL_LINES:]))


def _printed(line: str) -> str:
    """What a terminal would show: after the last carriage return, without colours and other control characters."""
    last = COLOUR.sub("", line.rstrip("\r").rpartition("\r")[2])
    return "".join(character for character in last if character.isprintable() or character == "\t")


def _command(question: Question, row: Mapping[Hashable, Any]) -> str:
    """The one command that repeats a run; empty where the overrides are not known."""
    overrides, config, sweep = row["overrides"], row["config"] or {}, question.sweep
    if not isinstance(overrides, dict) or not sweep.command:
        return ""
    lead = list(sweep.command[: 5 if "--config-dir" in sweep.command[:5] else 3])  # as the sweep's own
    settings = [each for each in sweep.settings if not each.startswith("seed=")]
    chosen = next((each.partition("=")[2] for each in sweep.base if each.startswith("data=")), row["dataset"])
    threads = config.get("machine", {}).get("threads")
    frozen = {
        "data": chosen,
        "data.folder": config.get("data", {}).get("folder"),
        "machine.threads": None if threads == MachineConfig().threads else threads,
    }
    typed = {each.partition("=")[0] for each in settings} | overrides.keys()
    shared = {key: value for key, value in frozen.items() if value is not None and key not in typed}
    arguments = [*to_overrides(shared), *settings, *to_overrides(overrides), f"seed={row['seed']}"]
    return shlex.join([*lead, *arguments])


def _when(seconds: Any) -> str:
    return NOTHING if pd.isna(seconds) else time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(float(seconds)))
