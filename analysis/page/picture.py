"""The table of an ablation and the forest plot of its differences in one: for each row where its marks are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terminator.analysis.scale import Scale, span
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.table import Cell, Table
from terminator.analysis.text import MINUS


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
