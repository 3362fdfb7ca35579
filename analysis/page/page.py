"""Puts the page together from what tables, figures and runs say."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terminator.analysis.figures.collection import Drawn
from terminator.analysis.mlflow import LOCAL_UI
from terminator.analysis.page.runs import shown_runs
from terminator.analysis.results import Results
from terminator.analysis.summary import Summary
from terminator.analysis.tables.notes import missing_runs
from terminator.analysis.tables.render import asset, templates
from terminator.analysis.tables.table import Table
from terminator.analysis.text import sentence
from terminator.tracking.store import default_uri, sqlite_path


@dataclass(frozen=True)
class Part:
    """One ablation's part of the page."""

    label: str
    summary: Summary
    tables: Sequence[Table]
    figures: Sequence[Drawn]


def render_page(results: Results, parts: Sequence[Part], shared: Sequence[Table]) -> str:
    """The page; `shared` are the tables that belong to no single ablation. Everything in it is escaped."""
    script = asset("page.js")
    digest = _base64(hashlib.sha256(script.encode()).digest())
    return (
        templates()
        .get_template("page.html.j2")
        .render(
            title=" · ".join(part.label for part in parts),
            parts=[_content(results, part) for part in parts],
            shared=shared,
            source=results.source,
            script=script,
            style=asset("page.css"),
            # Nothing may run or load but this very script, whatever a name or a log holds.
            policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        )
    )


def _content(results: Results, part: Part) -> dict[str, object]:
    summary = part.summary
    runs = shown_runs(results, summary)
    states = Counter(str(run["state"]) for run in runs)
    figures = [(f"data:image/png;base64,{_base64(each.png.read_bytes())}", each.caption) for each in part.figures]
    return {
        "label": part.label,
        "ablation": summary.question.ablation,
        "sweep": summary.question.sweep.id,
        "command": shlex.join(summary.question.sweep.command),
        "summary": summary,
        "sentences": [sentence(summary, variant) for variant in summary.variants if variant.comparison is not None],
        "tables": part.tables,
        "figures": figures,
        "runs": runs,
        "lost": missing_runs(summary),
        "viewer": _viewer(results) if any(str(run["link"]).startswith(LOCAL_UI) for run in runs) else "",
        "counts": ", ".join(f"{count} {state}" for state, count in states.items()),
    }


def _viewer(results: Results) -> str:
    """The command that serves a sqlite store."""
    is_store = sqlite_path(results.source) is not None
    store = results.source if is_store else default_uri(Path(results.source).absolute())
    return shlex.join(["mlflow", "ui", "--backend-store-uri", store])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
