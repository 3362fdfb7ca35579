"""What the paper shows of a trained network: hyper-kernels and feature maps of each block, and features by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.features import Features
from analysis.figures.style import INK, PAGE_INCHES, PALETTE, axes_of, legend_above, new_figure, short, styled
from analysis.statistics.paired import FloatArray

CHANNELS = 6
MAP_INCHES = 0.55
SHAPES = ("o", "s", "^", "D", "v", "P", "X")


@styled
def hyper_kernels(features: Mapping[str, Features]) -> Figure | None:
    """Of each run in `features` (name → its features), two rows a block: K_g, and K̂ for the sample; a channel each.

    Every block has its own grey scale, symmetric around zero. None where no block has a global kernel.
    """
    rows = [
        (f"{short(name, 14)}\nblock {block + 1}, {kind}", kernels[block])
        for name, each in features.items()
        for kind, kernels in (("K", each.kernels), ("K̂", each.hyper_kernels))
        for block in range(len(kernels))
    ]
    return _grid(sorted(rows, key=lambda row: row[0]), CHANNELS, symmetric=True) if rows else None


@styled
def feature_maps(features: Features) -> Figure:
    """The sample, and of each block's output the first channels."""
    rows = [(f"block {block + 1}", maps) for block, maps in enumerate(features.maps)]
    return _grid([("image", features.image), *rows], CHANNELS, symmetric=False)


@styled
def features_by_depth(features: Mapping[str, Features]) -> Figure:
    """Mean ± standard deviation of each block's output over the test images; a mark for each run."""
    figure = new_figure(2.0)
    axes = axes_of(figure)
    axes.axhline(0, color=INK, linewidth=0.7)
    shown = {}
    for number, (name, each) in enumerate(features.items()):
        blocks = np.arange(1, len(each.mean) + 1) + 0.12 * (number - (len(features) - 1) / 2)
        shape, colour = SHAPES[number % len(SHAPES)], PALETTE[number % len(PALETTE)]
        drawn = axes.errorbar(blocks, each.mean, yerr=each.std, fmt=shape, color=colour, markersize=3.5, elinewidth=0.9)
        shown[short(name)] = drawn.lines[0]
    deepest = max(len(each.mean) for each in features.values())
    axes.set_xticks(range(1, deepest + 1))
    axes.set_xlabel("Block")
    axes.set_ylabel("Output, mean ± std")
    if len(shown) > 1:
        legend_above(figure, shown)
    return figure


def _grid(rows: Sequence[tuple[str, FloatArray]], across: int, *, symmetric: bool) -> Figure:
    """A row of small pictures each; an array is (channels, height, width), or (channels, length) drawn as a line."""
    figure = new_figure(0.3 + MAP_INCHES * len(rows), PAGE_INCHES / 2)
    grid = figure.subplots(len(rows), across, squeeze=False)
    for line, (title, maps) in zip(grid, rows, strict=True):
        reach = float(np.abs(maps[:across]).max()) or 1.0
        low = -reach if symmetric else min(0.0, float(maps[:across].min()))
        for number, axes in enumerate(line):
            _draw(axes, maps[number] if number < len(maps) else None, low, reach)
        line[0].set_axis_on()
        line[0].set_ylabel(title, rotation=0, ha="right", va="center", size=6)
    return figure


def _draw(axes: Axes, values: FloatArray | None, low: float, high: float) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if values is None:
        return
    if values.ndim == 1:
        axes.plot(values, color=INK, linewidth=0.5)
        axes.set_ylim(low, high)
    else:
        axes.imshow(values, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
