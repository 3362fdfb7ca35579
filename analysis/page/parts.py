"""What the page alone shows: a table and its forest plot in one, and what the variants' names stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from terminator.analysis.results import Question
from terminator.analysis.scale import Scale, span
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.table import Cell, Table
from terminator.analysis.text import MINUS
from terminator.config import shipped
from terminator.text import to_overrides

MOST_KEYS = 12


@dataclass(frozen=True)
class Line:
    """A row: its cells, its `kind` (a verdict, or "baseline"), and places in per cent of the plot's width.

    `mean` is None where there is nothing to draw; `interval`: its ends; `over`: those of them that lie beyond the plot.
    """

    cells: Sequence[Cell]
    kind: str
    control: bool
    mean: float | None = None
    interval: tuple[float, float] | None = None
    over: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Picture:
    """The lines, the baseline's first, and what is drawn behind them: ticks with their places, the places of `zero` and
    of ± the smallest effect that matters, and where the scale turns logarithmic."""

    lines: Sequence[Line]
    ticks: Sequence[tuple[str, float]]
    zero: float
    band: tuple[float, float] | None
    breaks: Sequence[float]


def picture(summary: Summary, table: Table) -> Picture | None:
    """Of an ablation's summary and its table, row by row; None where nothing was compared."""
    comparisons = [each.comparison for each in summary.variants if each.comparison is not None]
    spans = [span(each) for each in comparisons if each.pairs.n]
    if not spans:
        return None
    margin = summary.smallest_effect
    scale = Scale.of(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin))
    rows = [row for section in table.sections for row in section.rows]
    return Picture(
        lines=[_line(variant, cells, scale) for variant, cells in zip(summary.variants, rows, strict=True)],
        ticks=[(f"{tick:+g}".replace("-", MINUS) if tick else "0", _place(scale, tick)) for tick in scale.ticks()],
        zero=_place(scale, 0.0),
        band=(_place(scale, -margin), _place(scale, margin)) if margin else None,
        breaks=[_place(scale, each) for each in scale.breaks],
    )


def _line(variant: VariantSummary, cells: Sequence[Cell], scale: Scale) -> Line:
    comparison, control = variant.comparison, variant.twin_of is not None
    if comparison is None:
        return Line(cells, "baseline", control, _place(scale, 0.0))
    kind = comparison.judgement.verdict.value
    if not comparison.pairs.n:
        return Line(cells, kind, control)
    mean, interval = _place(scale, comparison.pairs.mean), comparison.interval
    if interval is None:
        return Line(cells, kind, control, mean)
    over = (interval.low < scale.low, interval.high > scale.high)
    return Line(cells, kind, control, mean, (_place(scale, interval.low), _place(scale, interval.high)), over)


def _place(scale: Scale, value: float) -> float:
    return round(100 * scale.share(value), 2)


class Entry(NamedTuple):
    """A variant's name, what it `changes`, and a `remark`, which may be empty."""

    name: str
    changes: str
    remark: str


def glossary(summary: Summary) -> list[Entry]:
    """An entry for each variant, in the table's order."""
    overrides = {each.name: dict(each.overrides) for each in summary.question.ablation.variants}
    said = _remarks(summary.question)
    return [
        Entry(variant.name, "the baseline, which the others are compared with", said.get(variant.name, ""))
        if variant is summary.baseline
        else _entry(variant, overrides.get(variant.name, {}), said.get(variant.name, ""))
        for variant in summary.variants
    ]


def _entry(variant: VariantSummary, overrides: Mapping[str, Any], remark: str) -> Entry:
    if variant.twin_of is not None:
        what = variant.name.rpartition("@")[2]
        remark = f"size-matched control: {variant.twin_of}, with a width that gives it the baseline's {what}"
    keys = variant.change.keys
    if len(keys) > MOST_KEYS and 0 < len(overrides) < len(keys):  # another network: what chose it
        return Entry(variant.name, " ".join(to_overrides(overrides)), remark)
    changes = "; ".join(f"{key}: {_value(old)} → {_value(new)}" for key, (old, new) in keys.items())
    return Entry(variant.name, changes or " ".join(to_overrides(overrides)), remark)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _remarks(question: Question) -> dict[str, str]:
    """The comments beside the variants' names in the ablation's file, of those that still mean what was run."""
    for folder in _folders(question.sweep.command):
        path = folder / "ablation" / f"{question.ablation.name}.yaml"
        try:
            text = path.read_text("utf-8")
            written = (yaml.safe_load(text) or {}).get("variants") or {}
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            continue
        run = {each.name: dict(each.overrides) for each in question.ablation.variants}
        found = {name: _comment(text, str(name)) for name, overrides in written.items() if run.get(name) == overrides}
        return {name: comment for name, comment in found.items() if comment}
    return {}


def _folders(command: Sequence[str]) -> list[Path]:
    """Where ablations are looked for: the command's `--config-dir`, then the shipped ones."""
    own = [Path(after) for word, after in pairwise(command) if word == "--config-dir"]
    return [*own, shipped("sweeps")]


def _comment(text: str, name: str) -> str:
    found = re.search(rf"^[ \t]+(['\"]?){re.escape(name)}\1:[^\n]*?[ \t]#[ \t]*(.+)$", text, re.MULTILINE)
    return found.group(2).strip() if found else ""
