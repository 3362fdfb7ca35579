"""What the paper shows of a trained network: hyper-kernels and feature maps of each block, and features by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terminator.analysis.features import Features
from terminator.analysis.figures import style
from terminator.analysis.statistics.tests import FloatArray

CHANNELS = 6  # of a block's output
KERNELS_ACROSS = 8  # shared out among the groups of a row
MAP_INCHES = 0.42
TITLE_INCHES = 0.3  # of two lines


@style.styled
def hyper_kernels(features: Mapping[str, Features]) -> Figure | None:
    """A row a block: of each run in `features` (name → its features) the first channels of K_g, then of K̂.

    Every group in a row has its own grey scale, symmetric around zero. None where no block has a global kernel.
    """
    groups = [
        (title, kernels)
        for name, each in features.items()
        for title, kernels in ((f"{style.wrapped(name)}\nK", each.kernels), ("K̂", each.hyper_kernels))
        if kernels
    ]
    if not groups:
        return None
    across = KERNELS_ACROSS // len(groups)
    rows = max(len(kernels) for _, kernels in groups)
    over = TITLE_INCHES + style.LINE_INCHES * (style.line_count(title for title, _ in groups) - 2)
    height = over + MAP_INCHES * rows
    figure = style.new_figure(height)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - over / height))
    grid = figure.subplots(rows, across * len(groups), squeeze=False)
    for number, (title, kernels) in enumerate(groups):
        columns = grid[:, number * across : (number + 1) * across]
        first = columns[0][0]
        # No title of the axes, whose column would grow as wide as it.
        first.text(0, 1.06, title, transform=first.transAxes, va="bottom", size=7, in_layout=False)
        for block, line in enumerate(columns):
            _draw_row(line, kernels[block] if block < len(kernels) else None, symmetric=True)
    for block, line in enumerate(grid):
        _name_row(line[0], f"block {block + 1}")
    return figure


@style.styled
def feature_maps(features: Features) -> Figure:
    """The sample, and of each block's output the first channels; every row has its own grey scale."""
    rows = [("image", features.image), *((f"block {block + 1}", maps) for block, maps in enumerate(features.maps))]
    figure = style.new_figure(0.2 + MAP_INCHES * len(rows))
    grid = figure.subplots(len(rows), CHANNELS, squeeze=False)
    for line, (title, maps) in zip(grid, rows, strict=True):
        _draw_row(line, maps, symmetric=False)
        _name_row(line[0], title)
    return figure


@style.styled
def features_by_depth(features: Mapping[str, Features]) -> Figure:
    """Mean ± standard deviation of each block's output over the test images; a mark for each run."""
    figure = style.new_figure(2.0)
    axes = style.axes_of(figure)
    axes.axhline(0, color=style.INK, linewidth=0.7)
    shown = {}
    for number, (name, each) in enumerate(features.items()):
        blocks = np.arange(1, len(each.mean) + 1) + 0.12 * (number - (len(features) - 1) / 2)
        look = {"linestyle": "none", "markersize": 3.5, "elinewidth": 0.9, **style.seed_look(number)}
        drawn = axes.errorbar(blocks, each.mean, yerr=each.std, **look)
        shown[style.wrapped(name)] = drawn.lines[0]
    deepest = max(len(each.mean) for each in features.values())
    axes.set_xticks(range(1, deepest + 1))
    axes.set_xlabel("Block")
    axes.set_ylabel("Output, mean ± std")
    if len(shown) > 1:
        style.legend_above(figure, shown)
    return figure


def _draw_row(line: Sequence[Axes], maps: FloatArray | None, *, symmetric: bool) -> None:
    """One channel a picture; `maps`: (channels, height, width), or (channels, length), drawn as lines."""
    shown = [] if maps is None else list(maps[: len(line)])
    high = max((float(np.abs(each).max()) for each in shown), default=0.0) or 1.0
    low = -high if symmetric else min(0.0, *(float(each.min()) for each in shown))
    for number, axes in enumerate(line):
        _draw(axes, shown[number] if number < len(shown) else None, low, high)


def _name_row(axes: Axes, title: str) -> None:
    axes.set_ylabel(title, rotation=0, ha="right", va="center", size=7)


def _draw(axes: Axes, values: FloatArray | None, low: float, high: float) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if values is None:
        return
    if values.ndim == 1:
        axes.plot(values, color=style.INK, linewidth=0.5)
        axes.set_ylim(low, high)
    else:
        axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
