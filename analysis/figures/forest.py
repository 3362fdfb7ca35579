"""A row a variant: the forest plot of the differences with their intervals, and the strip of every seed's result."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures import style
from terminator.analysis.statistics.verdict import Comparison
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.text import decimals, number
from terminator.ledger import Verdict

ROW_INCHES = 0.19
ROW_GAP_INCHES = 0.055
COLUMN_LETTERS = 50  # in a line under the axes


@style.styled
def forest(summary: Summary) -> Figure | None:
    """A row a variant, in the table's order: dots for the seeds, a mark for the mean, a line for the 95 % interval.

    The band is ± the smallest effect that matters. None where no variant has a pair of results.
    """
    rows = [(variant, variant.comparison) for variant in summary.variants if variant.comparison is not None]
    spans = [_span(comparison) for variant, comparison in rows if comparison.pairs.n]
    if not spans:
        return None
    figure, axes = _figure_of([variant for variant, _ in rows])
    margin = summary.smallest_effect
    limits = style.clipped(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin))
    axes.set_xlim(*limits)
    if margin:
        axes.axvspan(-margin, margin, color="#000000", alpha=0.07, linewidth=0)
    axes.axvline(0, color=style.INK, linewidth=0.7)
    places = decimals(summary.half_widths)
    for row, (variant, comparison) in enumerate(rows):
        _draw(axes, row, variant, comparison, limits, places)
    _name_rows(axes, [variant for variant, _ in rows])
    label = f"{summary.metric.title}, difference from {summary.baseline.name}{summary.metric.points_heading}"
    figure.supxlabel(style.wrapped(label, COLUMN_LETTERS), size=8)  # of the axes it would be cut off beside long names
    present = {comparison.judgement.verdict for _, comparison in rows if comparison.pairs.n}
    marks = {each: mark for each, mark in style.MARKS.items() if each in present}
    looks = {
        "no effect" if each is Verdict.equivalent else each.value: axes.plot([], [], linestyle="none", **mark.look)[0]
        for each, mark in marks.items()
    }
    style.legend_above(figure, looks)
    return figure


def _figure_of(variants: Sequence[VariantSummary]) -> tuple[Figure, Axes]:
    """An empty figure with room for a row for each variant, and its axes."""
    names = [style.wrapped(variant.name) for variant in variants]
    row_inches = max(ROW_INCHES, ROW_GAP_INCHES + style.LINE_INCHES * style.line_count(names))
    figure = style.new_figure(0.95 + row_inches * max(3, len(names)))
    return figure, style.axes_of(figure)


def _name_rows(axes: Axes, variants: Sequence[VariantSummary]) -> None:
    axes.set_yticks(range(len(variants)), [style.wrapped(variant.name) for variant in variants])
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _span(comparison: Comparison) -> tuple[float, float]:
    pairs, interval = comparison.pairs, comparison.interval
    values = [*pairs.differences.tolist(), *((interval.low, interval.high) if interval else ())]
    # A wide interval from two or three seeds runs over the edge rather than squeeze the others.
    reach = 3 * max(abs(value - pairs.mean) for value in pairs.differences.tolist())
    low, high = max(min(values), pairs.mean - reach), min(max(values), pairs.mean + reach)
    return min(low, pairs.mean), max(high, pairs.mean)


def _draw(
    axes: Axes, row: int, variant: VariantSummary, comparison: Comparison, limits: tuple[float, float], places: int
) -> None:
    pairs, interval, mark = comparison.pairs, comparison.interval, style.mark(variant)
    if pairs.n == 0:
        text = "not paired" if variant.values else variant.lost
        axes.annotate(text, (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=style.FAINT, size=7)
        return
    if not limits[0] <= pairs.mean <= limits[1]:  # an arrow at the edge, and how far away the mean is
        left, text = pairs.mean < limits[0], number(pairs.mean, places, sign=True)
        edge, arrow, side = (limits[0], f"◂ {text}", "left") if left else (limits[1], f"{text} ▸", "right")
        axes.text(edge, row, arrow, ha=side, va="center", color=mark.colour, size=7)
        return
    if interval is not None:
        axes.plot([interval.low, interval.high], [row, row], color=mark.colour, linewidth=1.3)
    if pairs.n > 1:
        axes.plot(pairs.differences, [row + 0.27] * pairs.n, ".", color=style.FAINT, markersize=2.5, zorder=1)
    axes.plot(pairs.mean, row, zorder=3, **mark.look)


@style.styled
def seed_strip(summary: Summary) -> Figure:
    """A row a variant: a mark for each seed (the same in every row), a bar for the mean."""
    rows = summary.variants
    figure, axes = _figure_of(rows)
    spans = [(min(row.values.values()), max(row.values.values())) for row in rows if row.values]
    low, high = style.clipped(spans, keep=list(summary.baseline.values.values())[:1] or [0.0])
    axes.set_xlim(low, high)
    points = pd.DataFrame(
        [(row.name, seed, value) for row in rows for seed, value in row.values.items() if low <= value <= high],
        columns=["variant", "seed", "value"],
    )
    seeds = sorted({seed for row in rows for seed in row.values})
    places = {"x": "value", "y": "variant", "order": [row.name for row in rows], "orient": "h", "jitter": False}
    for order, seed in enumerate(seeds):
        look = {"size": 3.5, "alpha": 0.85, **style.seed_look(order)}
        label = f"seed {seed}" if len(seeds) <= len(style.SHAPES) else None
        sns.stripplot(data=points[points["seed"] == seed], **places, **look, label=label, ax=axes)
    for position, row in enumerate(rows):
        if low <= row.mean <= high:
            axes.plot([row.mean] * 2, [position - 0.35, position + 0.35], color=style.INK, linewidth=1)
        elif row.mean > high:
            axes.text(high, position, f"{number(row.mean, 1)} ▸ ", ha="right", va="center", size=7)
        else:
            text, colour = (f"◂ {number(row.mean, 1)}", style.INK) if row.values else (row.lost, style.FAINT)
            axes.text(low, position, f" {text}", va="center", size=7, color=colour)
    _name_rows(axes, rows)
    axes.set(xlabel=summary.metric.heading, ylabel="")
    handles, labels = axes.get_legend_handles_labels()
    if legend := axes.get_legend():
        legend.remove()
        style.legend_above(figure, dict(zip(labels, handles, strict=True)))
    return figure
