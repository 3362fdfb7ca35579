"""The figure of `benchmarks.scaling`: `python -m benchmarks.scaling_figure FOLDER` draws it again from scaling.csv."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.figures.style import FAINT, PALETTE, new_figure, save, styled

COSTS = {"seconds": ("Time (ms)", 1e3), "memory_bytes": ("Memory (MiB)", 2**-20)}
SIZES = {2: ("Image, N × N", "{}²"), 1: ("Sequence, L", "{}")}
MARKS = "os^DX"


def draw(folder: Path) -> None:
    """Write scaling.png and scaling.pdf beside the measurements they show."""
    save(scaling(pd.read_csv(folder / "scaling.csv")), folder / "scaling")


@styled
def scaling(rows: pd.DataFrame, work: str = "forward + backward") -> Figure:
    """Cost per image against its pixels, both in logarithms; images on the left, sequences on the right."""
    rows = rows[rows["work"] == work]
    dimensions = sorted(rows["dimensions"].unique(), reverse=True)
    figure = new_figure(3.8)
    grid = figure.subplots(len(COSTS), len(dimensions), sharex="col", sharey="row", squeeze=False)
    lines = {}
    for (cost, (title, scale)), row in zip(COSTS.items(), grid, strict=True):
        for dimension, axes in zip(dimensions, row, strict=True):
            shown = rows[rows["dimensions"] == dimension]
            for number, (name, own) in enumerate(shown.groupby("network", sort=False)):
                [lines[name]] = axes.plot(
                    own["pixels"],
                    own[cost] * scale,
                    color=PALETTE[number],
                    marker=MARKS[number],
                    markersize=3,
                    linewidth=1,
                )
            low, high = shown["pixels"].min(), shown["pixels"].max()
            start = shown[cost].min() * scale / 2
            [lines["linear"]] = axes.plot([low, high], [start, start * high / low], color=FAINT, linestyle="--")
            axes.set_xscale("log")
            axes.set_yscale("log")
            _ticks(axes, shown, SIZES[dimension][1])
            sns.despine(ax=axes)
        row[0].set_ylabel(title)
    for dimension, axes in zip(dimensions, grid[-1], strict=True):
        axes.set_xlabel(SIZES[dimension][0])
    figure.legend(lines.values(), lines, loc="outside upper center", ncols=2, frameon=False)
    return figure


def _ticks(axes: Axes, shown: pd.DataFrame, label: str) -> None:
    """Ticks at the sizes that were measured."""
    sizes = shown[["pixels", "size"]].drop_duplicates()
    axes.set_xticks(sizes["pixels"].tolist(), [label.format(size) for size in sizes["size"]])
    axes.minorticks_off()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
