"""What a variant reaches against what it costs."""

from __future__ import annotations

from math import isnan

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from analysis.digits import number
from analysis.figures.limits import clipped
from analysis.figures.style import COLUMN_INCHES, FAINT, axes_of, mark, new_figure, short, styled
from analysis.metrics import metric
from analysis.summary import Summary, VariantSummary

LABEL_INCHES = 0.125
LABEL_LETTERS = 18


@styled
def tradeoff(summary: Summary, cost: str) -> Figure | None:
    """The metric's mean ± std against the mean of `cost` (parameters, flops, …), names beside.

    None with fewer than two variants to show.
    """
    drawn = [variant for variant in summary.variants if variant.values and cost in variant.costs]
    if len(drawn) < 2:
        return None
    height = max(2.1, 0.7 + LABEL_INCHES * len(drawn))
    figure = new_figure(height, COLUMN_INCHES)
    axes = axes_of(figure)
    shown_cost = metric(cost)
    spreads = {each.name: 0.0 if isnan(each.std) else each.std for each in drawn}
    spans = [(each.mean - spreads[each.name], each.mean + spreads[each.name]) for each in drawn]
    low, high = clipped(spans, keep=[drawn[0].mean])
    axes.set_ylim(low, high)
    for variant in drawn:
        style = mark(variant)
        at = min(max(variant.mean, low), high)
        axes.errorbar(
            variant.costs[cost] * shown_cost.scale,
            at,
            yerr=spreads[variant.name] if at == variant.mean else None,
            elinewidth=0.8,
            clip_on=False,
            **style.look,
        )
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if cost == "parameters":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    figure.draw_without_rendering()
    _label(axes_inches=height * axes.get_position().height, figure=figure, drawn=drawn, summary=summary, cost=cost)
    axes.set_xlabel("MFLOPs (forward, one image)" if cost == "flops" else shown_cost.heading)
    axes.set_ylabel(summary.metric.heading)
    return figure


def _label(*, axes_inches: float, figure: Figure, drawn: list[VariantSummary], summary: Summary, cost: str) -> None:
    """Names in the right margin, from top to bottom as the points are, with a thin line to each."""
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    step = (high - low) * LABEL_INCHES / axes_inches
    place = high
    ordered = sorted(drawn, key=lambda each: -each.mean)
    for position, variant in enumerate(ordered):
        room_below = low + step * (len(ordered) - 1 - position)
        at = min(max(variant.mean, low), high)
        place = max(min(place, at), room_below)
        beyond = "" if at == variant.mean else f" ({number(variant.mean, 1)})"
        axes.annotate(
            f"{short(variant.name, LABEL_LETTERS)}{beyond}",
            (variant.costs[cost] * metric(cost).scale, at),
            xytext=(1.06, place),
            textcoords=axes.get_yaxis_transform(),
            size=6.5,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2},
        )
        place -= step
