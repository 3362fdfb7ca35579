"""Learning curves: a small panel for each variant, the baseline in all of them."""

from __future__ import annotations

from math import ceil

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from terminator.analysis.figures import style
from terminator.analysis.load import CURVE
from terminator.analysis.summary import Summary

PANELS_ACROSS = 3
BASELINE_LETTERS = 40  # in a line of the legend
PANEL_LETTERS = 17  # that fit over a panel
EARLY = 0.25  # of the epochs


@style.styled
def learning_curves(summary: Summary, epochs: pd.DataFrame) -> Figure | None:
    """Mean over the seeds with a band of ± one standard deviation; a panel a variant, with the baseline in grey.

    All panels have one scale, which shows how the curves end; one whose curve ends elsewhere has its own, and says so.

    `epochs`: the ablation's rows of `Results.epochs`. None where no run has logged two epochs of it.
    """
    if CURVE not in epochs:
        return None
    rows = epochs[["variant", "seed", "epoch", CURVE]].dropna()
    if rows["epoch"].nunique() < 2:
        return None
    rows[CURVE] *= 100  # per cent
    of = dict(list(rows.groupby("variant")))
    shown = [variant.name for variant in summary.variants if variant.name in of]
    baseline = of.get(summary.baseline.name, rows.iloc[:0])
    panels = [name for name in shown if name != summary.baseline.name] or shown
    across = min(PANELS_ACROSS, len(panels))
    down = ceil(len(panels) / across)
    titles = [style.wrapped(name, PANEL_LETTERS) for name in panels]
    figure = style.new_figure(0.75 + (0.85 + style.LINE_INCHES * (style.line_count(titles) - 1)) * down)
    grid = figure.subplots(down, across, sharex=True, squeeze=False)
    low, high = _limits(baseline if len(baseline) else rows, rows)
    for position, (axes, name) in enumerate(zip(grid.flat, panels, strict=False)):
        grey = _band(axes, baseline, style.FAINT, "--")
        own = _band(axes, of[name], style.PALETTE[0], "-")
        means = of[name].groupby("epoch")[CURVE].mean()
        is_outside = not low <= float(means.iloc[-1]) <= high  # such a panel has a scale of its own
        own_low, own_high = min(low, float(means.min())), max(high, float(means.max()))
        room = 0.05 * (own_high - own_low) if is_outside else 0.0
        axes.set_ylim((own_low - room, own_high + room) if is_outside else (low, high))
        axes.set_title(f"{titles[position]}\n(own scale)" if is_outside else titles[position], pad=2, size=6)
        shown_labels = {
            "labelbottom": position >= len(panels) - across,
            "labelleft": is_outside or not position % across,
        }
        axes.tick_params(labelsize=6, length=2, **shown_labels)
        sns.despine(ax=axes)
    grid.flat[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    baseline_label = style.wrapped(f"{summary.baseline.name} (mean ± std over seeds)", BASELINE_LETTERS)
    style.legend_above(figure, {"variant": own, baseline_label: grey})
    figure.supxlabel("Epoch", size=8)
    figure.supylabel("Validation accuracy (%)", size=8)
    return figure


def _band(axes: Axes, rows: pd.DataFrame, colour: object, line: str) -> Line2D:
    """Draw mean and band; return the line."""
    by_epoch = rows.groupby("epoch")[CURVE].agg(["mean", "std"]).fillna(0)
    (drawn,) = axes.plot(by_epoch.index, by_epoch["mean"], line, color=colour, linewidth=1)
    low, high = by_epoch["mean"] - by_epoch["std"], by_epoch["mean"] + by_epoch["std"]
    axes.fill_between(by_epoch.index, low, high, color=colour, alpha=0.25, linewidth=0)
    return drawn


def _limits(baseline: pd.DataFrame, rows: pd.DataFrame) -> tuple[float, float]:
    """From where the baseline is after a part of its training to the best of all: the end is where curves differ."""
    by_epoch = baseline.groupby("epoch")[CURVE].mean()
    early = float(by_epoch.iloc[int(len(by_epoch) * EARLY)])
    best = float(rows.groupby(["variant", "epoch"])[CURVE].mean().max())
    margin = 0.08 * abs(best - early) or 1.0
    return min(early, best) - margin, max(early, best) + margin
