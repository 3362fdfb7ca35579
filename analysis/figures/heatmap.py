"""The heat map of an ablation that crosses two axes."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from terminator.analysis.figures.style import new_figure, styled
from terminator.analysis.summary import Summary
from terminator.analysis.text import decimals


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
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", rotation=0)
    axes.tick_params(axis="x", rotation=0)
    return figure
