"""What a variant reaches against what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import isnan

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from scipy.optimize import isotonic_regression

from terminator.analysis.figures.style import (
    COLUMN_INCHES,
    FAINT,
    axes_of,
    clipped,
    line_count,
    mark,
    new_figure,
    styled,
    wrapped,
)
from terminator.analysis.metrics import metric
from terminator.analysis.statistics.tests import FloatArray
from terminator.analysis.summary import Summary
from terminator.analysis.text import number

LINE_INCHES = 0.105  # of a name
GAP_INCHES = 0.025  # between names
NAME_LETTERS = 20  # in a line
NAMES_FROM = 1.06  # of the axes' width
ROUNDING = 1e-9


@styled
def tradeoff(summary: Summary, cost: str) -> Figure | None:
    """The metric's mean ± std against the mean of `cost` (parameters, flops, …), names in the right margin.

    None with fewer than two variants to show.
    """
    drawn = [variant for variant in summary.variants if variant.values and cost in variant.costs]
    if len(drawn) < 2:
        return None
    names = [wrapped(variant.name, NAME_LETTERS) for variant in drawn]
    step = LINE_INCHES * line_count(names) + GAP_INCHES
    height = max(2.1, 0.7 + step * len(drawn))
    figure = new_figure(height, COLUMN_INCHES)
    axes = axes_of(figure)
    shown_cost = metric(cost)
    spreads = {each.name: 0.0 if isnan(each.std) else each.std for each in drawn}
    spans = [(each.mean - spreads[each.name], each.mean + spreads[each.name]) for each in drawn]
    low, high = clipped(spans, keep=[drawn[0].mean])
    axes.set_ylim(low, high)
    points = []
    for position, variant in enumerate(drawn):
        style = mark(variant)
        at = min(max(variant.mean, low), high)
        if at != variant.mean:
            names[position] += f" ({number(variant.mean, 1)})"
        points.append((variant.costs[cost] * shown_cost.scale, at))
        axes.errorbar(
            *points[-1],
            yerr=spreads[variant.name] if at == variant.mean else None,
            elinewidth=0.8,
            clip_on=False,
            **style.look,
        )
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if cost == "parameters":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("MFLOPs (forward, one image)" if cost == "flops" else shown_cost.heading)
    axes.set_ylabel(summary.metric.heading)
    for name, point, place in zip(names, points, _places(figure, points, step), strict=True):
        axes.annotate(
            name,
            point,
            xytext=(NAMES_FROM, place),
            textcoords=axes.transAxes,
            size=6.5,
            va="center",
            linespacing=1,
            annotation_clip=False,
            zorder=1,  # a line to a name goes under the marks on its way
            arrowprops={
                "arrowstyle": "-",
                "color": FAINT,
                "linewidth": 0.4,
                "shrinkA": 0,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )
    return figure


def _places(figure: Figure, points: Sequence[tuple[float, float]], step: float) -> list[float]:
    """How high each point's name stands in the margin, as a share of the axes' height: `step` inches apart, as near to
    the points as that allows, and in their order but where lines would cross."""
    [axes] = figure.axes
    figure.draw_without_rendering()
    box = axes.get_window_extent()
    width, height = box.width / figure.dpi, box.height / figure.dpi
    inches: FloatArray = (axes.transData.transform(points) - box.min) / figure.dpi
    order = np.argsort(inches[:, 1])
    steps = step * np.arange(len(points))
    places = np.empty(len(points))
    places[order] = steps + np.clip(isotonic_regression(inches[order, 1] - steps).x, 0, max(0, height - steps[-1]))
    _uncross(inches, places, NAMES_FROM * width)
    return [float(place) / height for place in places]


def _uncross(points: FloatArray, places: FloatArray, names_from: float) -> None:
    """Exchange places until no two lines from a point to its place cross; each exchange makes the lines shorter."""

    def above(one: int, other: int) -> float:
        """How far one line is above the other where the shorter one begins."""
        across = max(points[one, 0], points[other, 0])
        first, second = (
            np.interp(across, [points[each, 0], names_from], [points[each, 1], places[each]]) for each in (one, other)
        )
        return float(first - second)

    crossed = True
    while crossed:
        crossed = False
        for one, other in combinations(range(len(points)), 2):
            if above(one, other) * (places[one] - places[other]) < -ROUNDING:
                places[[one, other]] = places[[other, one]]
                crossed = True
