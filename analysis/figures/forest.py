"""Figures of rows: a variant's difference with its interval, or every seed's result; of a screen a switch's effect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures import style
from terminator.analysis.load import load
from terminator.analysis.results import Results
from terminator.analysis.scale import Scale, span
from terminator.analysis.statistics.verdict import Comparison
from terminator.analysis.summary import Summary, VariantSummary, summarize
from terminator.analysis.tables.screen import main_intervals
from terminator.ledger import OFF, Ablation, Interval, Ledger

ROW_INCHES = 0.19
ROW_GAP_INCHES = 0.055
COLUMN_LETTERS = 50  # in a line under the axes
DOT, MARK = 0.013, 0.024  # as wide as a seed's dot and mark are, of the axes' width
DOTS_FROM, DOT_ROWS, MARK_ROWS = 0.24, 0.11, 0.17  # of a row's height: the first dots, and from one level to the next
MOST_LEVELS = 2
SCREEN_INCHES = 0.3  # of a row with two intervals


@style.styled
def forest(summary: Summary) -> Figure | None:
    """A row a variant, in the table's order: dots for the seeds, a mark for the mean, a line for the 95 % interval.

    The band is ± the smallest effect that matters. None where no variant has a pair of results.
    """
    rows = [(variant, variant.comparison) for variant in summary.variants if variant.comparison is not None]
    spans = [span(comparison) for variant, comparison in rows if comparison.pairs.n]
    if not spans:
        return None
    names = [style.wrapped(variant.name) for variant, _ in rows]
    figure, axes = _figure_of(names)
    scale = _scale_of_differences(axes, spans, summary.smallest_effect)
    for row, (variant, comparison) in enumerate(rows):
        _draw(axes, row, variant, comparison, scale)
    _name_rows(axes, names)
    label = f"{summary.metric.title}, difference from {summary.baseline.name}{summary.metric.points_heading}"
    figure.supxlabel(style.wrapped(label, COLUMN_LETTERS), size=8)  # of the axes it would be cut off beside long names
    present = {comparison.judgement.verdict for _, comparison in rows if comparison.pairs.n}
    marks = {each: mark for each, mark in style.MARKS.items() if each in present}
    looks = {each.shown: axes.plot([], [], linestyle="none", **mark.look)[0] for each, mark in marks.items()}
    if not summary.is_screen:  # whose cells have no verdicts
        style.legend_above(figure, looks)
    return figure


def _figure_of(names: Sequence[str]) -> tuple[Figure, Axes]:
    """An empty figure with room for a row for each name, and its axes."""
    row_inches = max(ROW_INCHES, ROW_GAP_INCHES + style.LINE_INCHES * style.line_count(names))
    figure = style.new_figure(0.95 + row_inches * max(3, len(names)))
    return figure, style.axes_of(figure)


def _scale_of_differences(axes: Axes, spans: Sequence[tuple[float, float]], margin: float) -> Scale:
    """Give the axes a scale that shows zero and the smallest effect that matters, and draw both."""
    scale = Scale.of(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin))
    style.set_scale(axes, scale)
    if margin:
        axes.axvspan(-margin, margin, color="#000000", alpha=0.07, linewidth=0)
    axes.axvline(0, color=style.INK, linewidth=0.7)
    return scale


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
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
    names = [style.wrapped(row.name) for row in rows]
    figure, axes = _figure_of(names)
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
    _name_rows(axes, names)
    axes.set(xlabel=summary.metric.heading, ylabel="")
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        style.legend_above(figure, dict(zip(labels, handles, strict=True)))
    return figure


def _aside(level: int) -> float:
    """Where a mark of that level stands beside the middle of its row: below, above, further below, …"""
    steps = min((level + 1) // 2, MOST_LEVELS)
    return MARK_ROWS * steps * (1 if level % 2 else -1)


@style.styled
def screen_figure(summary: Summary, other: Summary | None) -> Figure | None:
    """A row a switch: its main effect with the interval of the table, and under it the difference of leaving it out
    alone, with that of its own table.

    None of no screen, or where it has no effects.
    """
    if summary.effects is None:
        return None
    around = main_intervals(summary)
    effects = [each for each in summary.factor_effects() if len(each.factors) == 1]
    main = {each.factors[0]: (each.pairs.mean, around[each.factors[0]]) for each in effects}
    alone = _differences(summary, other) if other is not None else {}
    aside = 0.15 if alone else 0.0
    groups = [("averaged over the others (screen)", "o", "#0060A0", -aside, main)]
    if other is not None:
        groups.append((f"beside all others ({other.name})", "s", "#C24A00", aside, alone))
    drawn = [
        (row + offset, shape, colour, label, *estimates[name])
        for label, shape, colour, offset, estimates in groups
        for row, name in enumerate(main)
        if name in estimates
    ]
    spans = [(interval.low, interval.high) if interval else (mean, mean) for *_, mean, interval in drawn]
    figure = style.new_figure(0.95 + SCREEN_INCHES * len(main))
    axes = style.axes_of(figure)
    _scale_of_differences(axes, spans, summary.smallest_effect)
    looks = {}
    for (height, shape, colour, label, mean, _), ends in zip(drawn, spans, strict=True):
        axes.plot(ends, [height] * 2, color=colour, linewidth=1.3)
        [looks[label]] = axes.plot(mean, height, shape, color=colour, markersize=4, zorder=3)
    _name_rows(axes, [style.wrapped(name) for name in main])
    label = f"{summary.metric.title}, switched off less on{summary.metric.points_heading}"
    if any(interval is not None for *_, interval in drawn):
        label += ":\nmean and t interval [95\u00a0%], each effect by itself"
    figure.supxlabel(label, size=8)
    style.legend_above(figure, looks)
    return figure


def leave_one_out(results: Results, screen: Summary) -> Summary | None:
    """The newest ablation under the root with the screen's baseline, run for run, that switches some of its switches
    off alone; None without any."""
    ledger, own = Ledger(Path(results.source)), screen.question.ablation
    usual = set(own.variants[0].runs.values())
    for sweep in ledger.sweeps():
        for each in sweep.ablations:
            shared = usual & {key for variant in each.variants[:1] for key in variant.runs.values()}
            if shared and not each.is_screen and not each.is_tuning and _alone(own, each):
                found = load(ledger.root, each.name, sweep=sweep.id)
                return summarize(found, found.questions[0], screen.metric.name)
    return None


def _alone(screen: Ablation, other: Ablation) -> dict[str, str]:
    """Switch → the variant of `other` that has it alone off."""
    levels = [(each, *level) for each in screen.variants for level in each.factors.items()]
    off = [(key, each.overrides[key]) for each, key, level in levels if level == OFF]  # a value may be a list
    usual, found = other.variants[0].overrides.keys(), {}
    for variant in other.variants:
        changes = [(key, value) for key, value in variant.overrides.items() if key not in usual]
        if variant.twin_of is None and len(changes) == 1 and changes[0] in off:
            found[changes[0][0]] = variant.name
    return found


def _differences(summary: Summary, other: Summary) -> dict[str, tuple[float, Interval | None]]:
    """Switch → the mean difference of the variant without it and its interval, where there is one."""
    names = _alone(summary.question.ablation, other.question.ablation)
    assert summary.crossing is not None
    short = dict(zip(summary.question.ablation.variants[0].factors, summary.crossing.factors, strict=True))
    compared = {each.name: each.comparison for each in other.variants}
    found = {short[key]: compared.get(name) for key, name in names.items()}
    known = {name: each for name, each in found.items() if each is not None and each.pairs.n}
    return {name: (each.pairs.mean, each.interval) for name, each in known.items()}
