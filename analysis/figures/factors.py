"""The metric along what an ablation varies: one number (docs/architecture.md §9.1), or two factors that it crosses."""

from __future__ import annotations

from math import isnan

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures.style import FAINT, INK, axes_of, mark, new_figure, styled
from terminator.analysis.summary import Axis, Summary
from terminator.analysis.text import decimals
from terminator.config import shipped_data

LOGARITHMIC = 20.0  # the largest value by the smallest, from which on the axis is logarithmic


@styled
def along_axis(summary: Summary, axis: Axis) -> Figure | None:
    """Mean ± std over the seeds at each value, the seeds as dots; None with fewer than two values.

    Along ω0, the grid's Nyquist rate (§9.1), where a sine of 2π·ω0 radians per unit turns by π between points.
    """
    drawn = [variant for variant in summary.variants if variant.values and variant.name in axis.values]
    if len(drawn) < 2:
        return None
    drawn.sort(key=lambda variant: axis.values[variant.name])
    figure = new_figure(2.2)
    axes = axes_of(figure)
    axes.plot([axis.values[each.name] for each in drawn], [each.mean for each in drawn], color=FAINT, linewidth=0.8)
    for variant in drawn:
        at, spread = axis.values[variant.name], variant.std
        axes.plot([at] * variant.n, list(variant.values.values()), ".", color=FAINT, markersize=3)
        axes.errorbar(at, variant.mean, yerr=None if isnan(spread) else spread, elinewidth=0.8, **mark(variant).look)
    _scale(axes, sorted(axis.values[each.name] for each in drawn))
    if axis.key == "model.omega_0" and (nyquist := nyquist_omega_0(summary.dataset)) is not None:
        axes.axvline(nyquist, color=INK, linestyle=":", linewidth=0.8)
        axes.annotate(
            f"Nyquist rate ({nyquist:g})", (nyquist, 1), xycoords=("data", "axes fraction"), rotation=90, size=6,
            xytext=(2, -2), textcoords="offset points", va="top",
        )  # fmt: skip
    axes.set_xlabel(axis.key)
    axes.set_ylabel(summary.metric.heading)
    return figure


def nyquist_omega_0(dataset: str) -> float | None:
    """The ω0 whose sine, sin(2π·ω0·c), is at the Nyquist rate of N points in [-1, 1]: (N − 1) / 4.

    None for a data set that is not known.
    """
    known = shipped_data()
    return (known[dataset].input_shape[-1] - 1) / 4 if dataset in known else None


def _scale(axes: Axes, values: list[float]) -> None:
    """Logarithmic where the values, from the smallest on, say so."""
    positive = [value for value in values if value > 0]
    if not positive or values[0] < 0 or positive[-1] < LOGARITHMIC * positive[0]:
        return
    if values[0] > 0:
        axes.set_xscale("log")
    else:  # zero belongs to the picture
        axes.set_xscale("symlog", linthresh=positive[0])


@styled
def heatmap(summary: Summary) -> Figure | None:
    """The metric's mean in every cell of two crossed factors; None for any other number of factors."""
    crossing = summary.crossing
    if crossing is None or len(crossing.factors) != 2:
        return None
    down, across = crossing.factors
    by_name = {variant.name: variant for variant in summary.variants}
    cells = {cell: by_name[name].mean for cell, name in crossing.cells.items()}
    table = pd.Series(cells).unstack()
    table = table.reindex(
        index=list(dict.fromkeys(cell[0] for cell in cells)), columns=list(dict.fromkeys(cell[1] for cell in cells))
    )
    figure = new_figure(0.9 + 0.32 * len(table))
    places = decimals([by_name[name].std for name in crossing.cells.values()])
    axes = figure.add_subplot()
    sns.heatmap(
        table,
        annot=True,
        fmt=f".{places}f",
        annot_kws={"size": 7},
        cmap="cividis",
        linewidths=0.5,
        cbar_kws={"label": summary.metric.heading},
        ax=axes,
    )
    axes.set(xlabel=across, ylabel=down)
    axes.tick_params(length=0, rotation=0)
    return figure
