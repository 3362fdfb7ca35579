"""A screen's main effects beside the differences of a leave-one-out of the same switches: what each sees and misses."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from terminator.analysis.figures import style
from terminator.analysis.load import load
from terminator.analysis.results import Results
from terminator.analysis.scale import Scale
from terminator.analysis.statistics.tests import Pairs, t_interval
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.screen import points
from terminator.ledger import OFF, Ablation, Ledger

SCREEN, ALONE = ("o", "#0060A0", -0.15), ("s", "#C24A00", 0.15)  # shape, colour, and where in the row
ROW_INCHES = 0.3


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


@style.styled
def screen_figure(summary: Summary, other: Summary | None) -> Figure | None:
    """A row a switch: its main effect with its 95 % interval, and under it the difference of leaving it out alone.

    None of no screen, or where it has no effects.
    """
    if summary.effects is None:
        return None
    main = points(summary)
    alone = _differences(summary, other) if other is not None else {}
    drawn = [(name, SCREEN, pairs) for name, pairs in main.items()]
    drawn += [(name, ALONE, alone[name]) for name in main if name in alone]
    spans = []
    for _, _, pairs in drawn:
        around = t_interval(pairs)
        spans.append((around.low, around.high) if around else (pairs.mean, pairs.mean))
    figure = style.new_figure(0.95 + ROW_INCHES * len(main))
    axes = style.axes_of(figure)
    margin = summary.smallest_effect
    style.set_scale(axes, Scale.of(spans, keep=(-1.3 * margin, 0.0, 1.3 * margin)))
    if margin:
        axes.axvspan(-margin, margin, color="#000000", alpha=0.07, linewidth=0)
    axes.axvline(0, color=style.INK, linewidth=0.7)
    rows = list(main)
    looks = {}
    for (name, (shape, colour, aside), pairs), ends in zip(drawn, spans, strict=True):
        row = rows.index(name) + (aside if alone else 0)
        axes.plot(ends, [row, row], color=colour, linewidth=1.3)
        label = (
            "averaged over the others (screen)"
            if shape == SCREEN[0]
            else f"beside all others ({other.name})"
            if other
            else ""
        )
        [looks[label]] = axes.plot(pairs.mean, row, shape, color=colour, markersize=4, zorder=3)
    axes.set_yticks(range(len(rows)), [style.wrapped(name) for name in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    figure.supxlabel(f"{summary.metric.title}, switched off less on{summary.metric.points_heading}", size=8)
    style.legend_above(figure, looks)
    return figure


def _differences(summary: Summary, other: Summary) -> dict[str, Pairs]:
    """Switch → the differences of the variant without it, where there are some."""
    names = _alone(summary.question.ablation, other.question.ablation)
    assert summary.crossing is not None
    short = dict(zip(summary.question.ablation.variants[0].factors, summary.crossing.factors, strict=True))
    compared = {each.name: each.comparison for each in other.variants}
    found = {short[key]: compared.get(name) for key, name in names.items()}
    return {name: each.pairs for name, each in found.items() if each is not None and each.pairs.n}
