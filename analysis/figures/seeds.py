"""The seed strip: every run's result, so that nobody has to take a mean's word for it."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from terminator.analysis.figures.forest import height
from terminator.analysis.figures.style import (
    FAINT,
    INK,
    PALETTE,
    axes_of,
    clipped,
    legend_above,
    new_figure,
    styled,
    wrapped,
)
from terminator.analysis.summary import Summary
from terminator.analysis.text import number

SHAPES = ("o", "s", "^", "D", "v", "P", "X")


@styled
def seed_strip(summary: Summary) -> Figure:
    """A row a variant: a mark for each seed (the same in every row), a bar for the mean."""
    rows = list(summary.variants)
    names = [wrapped(row.name) for row in rows]
    figure = new_figure(height(names))
    axes = axes_of(figure)
    baseline = list(summary.baseline.values.values())
    spans = [(min(row.values.values()), max(row.values.values())) for row in rows if row.values]
    low, high = clipped(spans, keep=baseline[:1] or [0.0])
    axes.set_xlim(low, high)
    points = pd.DataFrame(
        [(row.name, seed, value) for row in rows for seed, value in row.values.items() if low <= value <= high],
        columns=["variant", "seed", "value"],
    )
    seeds = sorted({seed for row in rows for seed in row.values})
    for order, seed in enumerate(seeds):
        sns.stripplot(
            data=points[points["seed"] == seed],
            x="value",
            y="variant",
            order=[row.name for row in rows],
            orient="h",
            jitter=False,
            marker=SHAPES[order % len(SHAPES)],
            color=PALETTE[order % len(PALETTE)],
            size=3.5,
            alpha=0.85,
            ax=axes,
            label=f"seed {seed}" if len(seeds) <= len(SHAPES) else None,
        )
    for position, row in enumerate(rows):
        if low <= row.mean <= high:
            axes.plot([row.mean] * 2, [position - 0.35, position + 0.35], color=INK, linewidth=1)
        elif row.mean > high:
            axes.text(high, position, f"{number(row.mean, 1)} ▸ ", ha="right", va="center", size=7)
        else:
            text = f"◂ {number(row.mean, 1)}" if row.values else row.lost
            axes.text(low, position, f" {text}", va="center", size=7, color=INK if row.values else FAINT)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylabel("")
    axes.set_xlabel(summary.metric.heading)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    handles, labels = axes.get_legend_handles_labels()
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
        legend_above(figure, dict(zip(labels, handles, strict=True)))
    return figure
