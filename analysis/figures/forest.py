"""A row a variant: the forest plot of the differences with their intervals, and the strip of every seed's result."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures import style
from terminator.analysis.scale import Scale, span
from terminator.analysis.statistics.verdict import Comparison
from terminator.analysis.summary import Summary, VariantSummary
from terminator.ledger import Verdict

ROW_INCHES = 0.19
ROW_GAP_INCHES = 0.055
COLUMN_LETTERS = 50  # in a line under the axes
DOT, MARK = 0.013, 0.024  # as wide as a seed's dot and mark are, of the axes' width
DOTS_FROM, DOT_ROWS, MARK_ROWS = 0.24, 0.11, 0.17  # of a row's height: the first dots, and from one level to the next
MOST_LEVELS = 2


@style.styled
def forest(summary: Summary) -> Figure | None:
    """A row a variant, in the table's order: dots for the seeds, a mark for the mean, a line for the 95 % interval.

    The band is ± the smallest effect that matters. None where no variant has a pair of results.
    """
    rows = [(variant, variant.comparison) for variant in summary.variants if variant.comparison is not None]
    spans = [span(comparison) for variant, comparison in rows if comparison.pairs.n]
    if not spans:
        return None
    figure, axes = _figure_of([variant for variant, _ in rows])
    margin = summary.smallest_effect
    scale = Scale.of(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin))
    style.set_scale(axes, scale)
    if margin:
        axes.axvspan(-margin, margin, color="#000000", alpha=0.07, linewidth=0)
    axes.axvline(0, color=style.INK, linewidth=0.7)
    for row, (variant, comparison) in enumerate(rows):
        _draw(axes, row, variant, comparison, scale)
    _name_rows(axes, [variant for variant, _ in rows])
    label = f"{summary.metric.title}, difference from {summary.baseline.name}{summary.metric.points_heading}"
    figure.supxlabel(style.wrapped(label, COLUMN_LETTERS), size=8)  # of the axes it would be cut off beside long names
    present = {comparison.judgement.verdict for _, comparison in rows if comparison.pairs.n}
    marks = {each: mark for each, mark in style.MARKS.items() if each in present}
    looks = {
        "no effect" if each is Verdict.equivalent else each.value: axes.plot([], [], linestyle="none", **mark.look)[0]
        for each, mark in marks.items()
    }
    if not summary.is_screen:  # whose cells have no verdicts
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


def _draw(axes: Axes, row: int, variant: VariantSummary, comparison: Comparison, scale: Scale) -> None:
    pairs, interval, mark = comparison.pairs, comparison.interval, style.mark(variant)
    if pairs.n == 0:
        text = "not paired" if variant.values else variant.lost
        axes.annotate(text, (0, row), xytext=(4, 0), textcoords="offset points", va="center", color=style.FAINT, size=7)
        return
    if interval is not None:
        axes.plot([interval.low, interval.high], [row, row], color=mark.colour, linewidth=1.3)
        ends = ((scale.low, "<", interval.low < scale.low), (scale.high, ">", interval.high > scale.high))
        for edge, arrow, is_over in ends:
            if is_over:
                axes.plot(edge, row, arrow, color=mark.colour, markersize=3, clip_on=False)
    if pairs.n > 1:
        levels = style.dodged([scale.share(value) for value in pairs.differences.tolist()], DOT)
        heights = [row + DOTS_FROM + DOT_ROWS * min(level, MOST_LEVELS) for level in levels]
        axes.plot(pairs.differences, heights, ".", color=style.FAINT, markersize=2.5, zorder=1)
    axes.plot(pairs.mean, row, zorder=3, **mark.look)


@style.styled
def seed_strip(summary: Summary) -> Figure:
    """A row a variant: a mark for each seed (the same in every row), a bar for the mean."""
    rows = summary.variants
    figure, axes = _figure_of(rows)
    spans = [(min(row.values.values()), max(row.values.values())) for row in rows if row.values]
    scale = Scale.of(spans, keep=list(summary.baseline.values.values())[:1] or [0.0])
    style.set_scale(axes, scale)
    seeds = sorted({seed for row in rows for seed in row.values})
    drawn: dict[int, list[tuple[float, float]]] = {seed: [] for seed in seeds}
    for position, row in enumerate(rows):
        levels = style.dodged([scale.share(value) for value in row.values.values()], MARK)
        for level, (seed, value) in zip(levels, row.values.items(), strict=True):
            drawn[seed].append((value, position + _aside(level)))
        if row.values:
            axes.plot([row.mean] * 2, [position - 0.35, position + 0.35], color=style.INK, linewidth=1)
        else:
            axes.text(scale.low, position, f" {row.lost}", va="center", size=7, color=style.FAINT)
    for order, seed in enumerate(seeds):
        label = f"seed {seed}" if len(seeds) <= len(style.SHAPES) else None
        look = {"linestyle": "none", "markersize": 3.5, "alpha": 0.85, **style.seed_look(order)}
        axes.plot(*zip(*drawn[seed], strict=True), label=label, **look)
    _name_rows(axes, rows)
    axes.set(xlabel=summary.metric.heading, ylabel="")
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        style.legend_above(figure, dict(zip(labels, handles, strict=True)))
    return figure


def _aside(level: int) -> float:
    """Where a mark of that level stands beside the middle of its row: below, above, further below, …"""
    steps = min((level + 1) // 2, MOST_LEVELS)
    return MARK_ROWS * steps * (1 if level % 2 else -1)
