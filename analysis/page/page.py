"""Puts the page together from what tables, figures and runs say."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from terminator.analysis.figures.collection import Drawn
from terminator.analysis.mlflow import LOCAL_UI
from terminator.analysis.page.runs import ShownRun, shown_runs
from terminator.analysis.results import Results
from terminator.analysis.summary import Summary
from terminator.analysis.tables.notes import missing_runs
from terminator.analysis.tables.render import html
from terminator.analysis.tables.table import Table
from terminator.analysis.text import sentence
from terminator.tracking.uri import SQLITE, default_uri


@dataclass(frozen=True)
class Part:
    """One ablation's part of the page."""

    label: str
    summary: Summary
    tables: Sequence[Table]
    figures: Sequence[Drawn]


def render_page(results: Results, parts: Sequence[Part], shared: Sequence[Table]) -> str:
    """The page; `shared` are the tables that belong to no single ablation. Everything in it is escaped."""
    environment = Environment(
        loader=PackageLoader("analysis", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["table"] = lambda table: Markup(html(table))  # `html` escapes what is in its cells
    environment.filters["picture"] = _picture
    script, style = _asset("page.js"), _asset("page.css")
    return environment.get_template("page.html.j2").render(
        title=" · ".join(part.label for part in parts),
        parts=[_content(results, part) for part in parts],
        shared=shared,
        source=results.source,
        script=Markup(script),
        style=Markup(style),
        # Nothing may run or load but this very script, whatever a name or a log holds.
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{_digest(script)}'",
    )


def _content(results: Results, part: Part) -> dict[str, object]:
    runs = shown_runs(results, part.summary)
    compared = [variant for variant in part.summary.variants if variant.comparison is not None]
    question = part.summary.question
    return {
        "label": part.label,
        "question": question,
        "summary": part.summary,
        "sentences": [sentence(part.summary, variant) for variant in compared],
        "tables": part.tables,
        "figures": part.figures,
        "runs": runs,
        "lost": missing_runs(part.summary),
        "command": shlex.join(question.command),
        "viewer": _viewer(results, runs),
        "metric": part.summary.metric.heading,
        "counts": _counts(runs),
    }


def _viewer(results: Results, runs: Sequence[ShownRun]) -> str:
    """The command that serves a sqlite store, if the runs' links lead there."""
    if not any(run.link and run.link.startswith(LOCAL_UI) for run in runs):
        return ""
    store = results.source if results.source.startswith(SQLITE) else default_uri(Path(results.source).absolute())
    return shlex.join(["mlflow", "ui", "--backend-store-uri", store])


def _counts(runs: Sequence[ShownRun]) -> str:
    states = [run.state for run in runs]
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _picture(figure: Drawn) -> str:
    return f"data:image/png;base64,{base64.b64encode(figure.png.read_bytes()).decode('ascii')}"


def _asset(name: str) -> str:
    return resources.files("terminator.analysis.page").joinpath(name).read_text("utf-8")


def _digest(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"
