"""The metric against what it costs, along one number, or over two crossed factors (docs/architecture.md §9.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, groupby
from math import isfinite, isnan, nan

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation
from scipy.optimize import isotonic_regression

from terminator.analysis.factors import Axis
from terminator.analysis.figures import style
from terminator.analysis.metrics import metric
from terminator.analysis.scale import Scale
from terminator.analysis.statistics.tests import FloatArray
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.text import decimals
from terminator.config import shipped_data

LINE_INCHES = 0.105  # of a name
GAP_INCHES = 0.025  # between names
NAME_LETTERS = 20  # in a line
NAMES_FROM = 1.06  # of the axes' width
LINE = {"arrowstyle": "-", "color": style.FAINT, "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2, "relpos": (0, 0.5)}
ROUNDING = 1e-9
DOTS_BESIDE = 3.5  # points from a variant's bar to its seeds
SAME_COST = 0.02  # of the largest: less than that between all costs is no trade-off
LOGARITHMIC = 20.0  # the largest value by the smallest, from which on the axis is logarithmic


@style.styled
def tradeoff(summary: Summary, cost: str) -> Figure | None:
    """The metric's mean ± std against the mean of `cost` (parameters, flops, …), names in the right margin.

    None with fewer than two variants to show, or where all cost nearly the same.
    """
    drawn = [variant for variant in summary.variants if variant.values and isfinite(variant.costs.get(cost, nan))]
    paid = [variant.costs[cost] for variant in drawn]
    if len(drawn) < 2 or max(paid) - min(paid) <= SAME_COST * max(paid):
        return None
    names = [style.wrapped(variant.name, NAME_LETTERS) for variant in drawn]
    step = LINE_INCHES * style.line_count(names) + GAP_INCHES
    height = max(2.1, 0.7 + step * len(drawn))
    figure = style.new_figure(height)
    axes = style.axes_of(figure)
    shown_cost = metric(cost)
    spreads = [0.0 if isnan(each.std) else each.std for each in drawn]
    spans = [(each.mean - spread, each.mean + spread) for each, spread in zip(drawn, spreads, strict=True)]
    style.set_scale(axes, Scale.of(spans, keep=[drawn[0].mean]), "y")
    points = []
    for variant, spread in zip(drawn, spreads, strict=True):
        points.append((variant.costs[cost] * shown_cost.scale, variant.mean))
        look = {"elinewidth": 0.8, "clip_on": False, **style.mark(variant).look}
        axes.errorbar(*points[-1], yerr=spread, **look)
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
            arrowprops=LINE,
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


@style.styled
def along_axis(summary: Summary, axis: Axis) -> Figure | None:
    """Mean ± std over the seeds at each value, the seeds as dots; None with fewer than two values.

    Along ω0, the grid's Nyquist rate (§9.1), where a sine of 2π·ω0 radians per unit turns by π between points.
    """
    drawn = [variant for variant in summary.variants if variant.values and variant.name in axis.values]
    if len(drawn) < 2:
        return None
    drawn.sort(key=lambda variant: axis.values[variant.name])
    figure = style.new_figure(2.2)
    axes = style.axes_of(figure)
    values = [axis.values[each.name] for each in drawn]
    spans = [(min(each.values.values()), max(each.values.values())) for each in drawn]
    axes.plot(values, [each.mean for each in drawn], color=style.FAINT, linewidth=0.8)
    dots = [(at, value) for at, variant in zip(values, drawn, strict=True) for value in variant.values.values()]
    beside = axes.transData + ScaledTranslation(DOTS_BESIDE / 72, 0, figure.dpi_scale_trans)  # the bar would hide them
    axes.plot(*zip(*dots, strict=True), ".", color=style.FAINT, markersize=3, transform=beside)
    alike = groupby(sorted(zip(values, drawn, strict=True), key=_verdict), key=_verdict)
    for _, group in alike:  # a call for each verdict, not for each of perhaps a thousand values
        ats, variants = zip(*group, strict=True)
        spreads = [0.0 if isnan(each.std) else each.std for each in variants]
        look = style.mark(variants[0]).look
        axes.errorbar(ats, [each.mean for each in variants], yerr=spreads, linestyle="none", elinewidth=0.8, **look)
    _scale(axes, values)
    style.set_scale(axes, Scale.of(spans, keep=[summary.baseline.mean] if summary.baseline.values else []), "y")
    if axis.key == "model.omega_0" and (nyquist := nyquist_omega_0(summary.dataset)) is not None:
        axes.axvline(nyquist, color=style.INK, linestyle=":", linewidth=0.8)
        axes.annotate(
            f"Nyquist rate ({nyquist:g})", (nyquist, 1), xycoords=("data", "axes fraction"), rotation=90, size=6,
            xytext=(2, -2), textcoords="offset points", va="top",
        )  # fmt: skip
    axes.set_xlabel(axis.key)
    axes.set_ylabel(summary.metric.heading)
    return figure


def _verdict(drawn: tuple[float, VariantSummary]) -> str:
    comparison = drawn[1].comparison
    return "" if comparison is None else comparison.judgement.verdict.value


def nyquist_omega_0(dataset: str) -> float | None:
    """The ω0 whose sine, sin(2π·ω0·c), is at the Nyquist rate of N points in [-1, 1]: (N − 1) / 4.

    None for a data set that is not known.
    """
    known = shipped_data()
    return (known[dataset].input_shape[-1] - 1) / 4 if dataset in known and known[dataset].image_shape else None


def _scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where the values, from the smallest on, say so."""
    positive = [value for value in values if value > 0]
    if not positive or values[0] < 0 or positive[-1] < LOGARITHMIC * positive[0]:
        return
    if values[0] > 0:
        axes.set_xscale("log")
    else:  # zero belongs to the picture
        axes.set_xscale("symlog", linthresh=positive[0])


@style.styled
def heatmap(summary: Summary) -> Figure | None:
    """The metric's mean in every cell of two crossed factors; None for any other number of factors."""
    crossing = summary.crossing
    if crossing is None or len(crossing.factors) != 2:
        return None
    down, across = crossing.factors
    by_name = {variant.name: variant for variant in summary.variants}
    table = pd.Series({cell: by_name[name].mean for cell, name in crossing.cells.items()}).unstack(sort=False)
    figure = style.new_figure(0.9 + 0.32 * len(table))
    places = decimals([by_name[name].std for name in crossing.cells.values()])
    axes = figure.add_subplot()
    numbers = {"annot": True, "fmt": f".{places}f", "annot_kws": {"size": 7}}
    bar = {"label": summary.metric.heading}
    sns.heatmap(table, **numbers, cmap="cividis", linewidths=0.5, cbar_kws=bar, ax=axes)
    axes.set(xlabel=across, ylabel=down)
    axes.tick_params(length=0, rotation=0)
    return figure
