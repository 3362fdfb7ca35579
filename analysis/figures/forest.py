"""A row a variant: the forest plot of the differences with their intervals, and the strip of every seed's result."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures.style import (
    FAINT,
    INK,
    LINE_INCHES,
    MARKS,
    PALETTE,
    SHAPES,
    axes_of,
    clipped,
    legend_above,
    line_count,
    mark,
    new_figure,
    styled,
    wrapped,
)
from terminator.analysis.statistics.verdict import Verdict
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.text import decimals, number

ROW_INCHES = 0.19
ROW_GAP_INCHES = 0.055
COLUMN_LETTERS = 50  # in a line under the axes


@styled
def forest(summary: Summary) -> Figure | None:
    """A row a variant, in the table's order: dots for the seeds, a mark for the mean, a line for the 95 % interval.

    The band is ± the smallest effect that matters. None where no variant has a pair of results.
    """
    rows = [variant for variant in summary.variants if variant.comparison is not None]
    if not any(variant.comparison.pairs.n for variant in rows if variant.comparison):
        return None
    names = [wrapped(variant.name) for variant in rows]
    figure = new_figure(_height(names))
    axes = axes_of(figure)
    margin = summary.smallest_effect
    spans = [_span(variant) for variant in rows if variant.values and variant.comparison and variant.comparison.pairs.n]
    limits = clipped(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin))
    axes.set_xlim(*limits)
    if margin:
        axes.axvspan(-margin, margin, color="#000000", alpha=0.07, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.7)
    places = decimals(summary.half_widths())
    for row, variant in enumerate(rows):
        _draw(axes, row, variant, limits, places)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    label = f"{summary.metric.title}, difference from {summary.baseline.name}{summary.metric.points_heading}"
    figure.supxlabel(wrapped(label, COLUMN_LETTERS), size=8)  # of the axes it would be cut off beside long names
    _legend(figure, axes, rows)
    return figure


def _height(names: Sequence[str]) -> float:
    """Of a figure with a row for each of these names, in inches."""
    return 0.95 + max(ROW_INCHES, ROW_GAP_INCHES + LINE_INCHES * line_count(names)) * max(3, len(names))


def _span(variant: VariantSummary) -> tuple[float, float]:
    assert variant.comparison is not None
    pairs, interval = variant.comparison.pairs, variant.comparison.interval
    values = [*pairs.differences.tolist(), *((interval.low, interval.high) if interval else ())]
    # A wide interval from two or three seeds runs over the edge rather than squeeze the others.
    reach = 3 * max(abs(value - pairs.mean) for value in pairs.differences.tolist())
    low, high = max(min(values), pairs.mean - reach), min(max(values), pairs.mean + reach)
    return min(low, pairs.mean), max(high, pairs.mean)


def _draw(axes: Axes, row: int, variant: VariantSummary, limits: tuple[float, float], places: int) -> None:
    comparison = variant.comparison
    assert comparison is not None
    if comparison.pairs.n == 0:
        text = "not paired" if variant.values else variant.lost
        axes.annotate(text, (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=FAINT, size=7)
        return
    mean, style = comparison.pairs.mean, mark(variant)
    low, high = limits
    if not low <= mean <= high:
        _draw_outside(axes, row, mean, limits, places, style.colour)
        return
    if comparison.interval is not None:
        axes.plot([comparison.interval.low, comparison.interval.high], [row, row], color=style.colour, linewidth=1.3)
    if comparison.pairs.n > 1:
        differences = comparison.pairs.differences
        axes.plot(differences, [row + 0.27] * len(differences), ".", color=FAINT, markersize=2.5, zorder=1)
    axes.plot(mean, row, zorder=3, **style.look)


def _draw_outside(axes: Axes, row: int, mean: float, limits: tuple[float, float], places: int, colour: str) -> None:
    """An arrow at the edge, and how far away the mean is."""
    left = mean < limits[0]
    edge = limits[0] if left else limits[1]
    text = f"◂ {number(mean, places, sign=True)}" if left else f"{number(mean, places, sign=True)} ▸"
    axes.text(edge, row, text, ha="left" if left else "right", va="center", color=colour, size=7)


def _legend(figure: Figure, axes: Axes, rows: list[VariantSummary]) -> None:
    present = {row.comparison.judgement.verdict for row in rows if row.comparison and row.comparison.pairs.n}
    names = {Verdict.equivalent: "no effect"}
    shown = {names.get(each, each.value): style for each, style in MARKS.items() if each in present}
    if shown:
        looks = {name: axes.plot([], [], linestyle="none", **style.look)[0] for name, style in shown.items()}
        legend_above(figure, looks)


@styled
def seed_strip(summary: Summary) -> Figure:
    """A row a variant: a mark for each seed (the same in every row), a bar for the mean."""
    rows = list(summary.variants)
    names = [wrapped(row.name) for row in rows]
    figure = new_figure(_height(names))
    axes = axes_of(figure)
    baseline = list(summary.baseline.values.values())
    spans = [(min(row.values.values()), max(row.values.values())) for row in rows if row.values]
    low, high = clipped(spans, keep=baseline[:1] or [0.0])
    axes.set_xlim(low, high)
    points = pd.DataFrame(
        [(row.name, seed, value) for row in rows for seed, value in row.values.items() if low <= value <= high],
        columns=["variant", "seed", "value"],
    )
    seeds = sorted({seed for row in rows for seed in row.values})
    for order, seed in enumerate(seeds):
        sns.stripplot(
            data=points[points["seed"] == seed],
            x="value",
            y="variant",
            order=[row.name for row in rows],
            orient="h",
            jitter=False,
            marker=SHAPES[order % len(SHAPES)],
            color=PALETTE[order % len(PALETTE)],
            size=3.5,
            alpha=0.85,
            ax=axes,
            label=f"seed {seed}" if len(seeds) <= len(SHAPES) else None,
        )
    for position, row in enumerate(rows):
        if low <= row.mean <= high:
            axes.plot([row.mean] * 2, [position - 0.35, position + 0.35], color=INK, linewidth=1)
        elif row.mean > high:
            axes.text(high, position, f"{number(row.mean, 1)} ▸ ", ha="right", va="center", size=7)
        else:
            text = f"◂ {number(row.mean, 1)}" if row.values else row.lost
            axes.text(low, position, f" {text}", va="center", size=7, color=INK if row.values else FAINT)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylabel("")
    axes.set_xlabel(summary.metric.heading)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
        legend_above(figure, dict(zip(labels, handles, strict=True)))
    return figure
