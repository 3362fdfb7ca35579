"""The findings on the paper's claims at one glance: claims by data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from terminator.analysis.figures import style
from terminator.analysis.findings import Finding, Judged
from terminator.analysis.text import NOTHING
from terminator.ledger import Verdict

NAMES = 2.6  # width of the variants' names, in data sets
DATASET_INCHES = 0.82
LINE_INCHES = 0.15
LETTERS = 34  # of a claim in a line
COLOURS = {
    Finding.supported: style.MARKS[Verdict.better].colour,
    Finding.contradicted: style.MARKS[Verdict.worse].colour,
    Finding.undecided: style.MARKS[Verdict.undecided].colour,
}
FAINT = 0.16  # opacity of a variant's tile


@style.styled
def claims_figure(judged: Mapping[str, Sequence[Judged]]) -> Figure:
    """From data set → the same claims in the same order: a tile for each claim, and below it one for each of its
    variants with the mean difference and the number of pairs."""
    datasets = list(judged)
    lines = _lines(judged[datasets[0]])
    figure = Figure(figsize=(DATASET_INCHES * (NAMES + len(datasets)), LINE_INCHES * lines))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.axis("off")
    axes.set(xlim=(-NAMES, len(datasets)), ylim=(lines, 0))
    for column, dataset in enumerate(datasets):
        axes.text(column + 0.5, 0.7, dataset, ha="center", va="center", weight="bold", size=7.5)
    line = 1.4
    for claims in zip(*judged.values(), strict=True):
        name = style.wrapped(claims[0].claim.text, LETTERS)
        height = name.count("\n") + 1
        axes.text(0.05 - NAMES, line + height / 2, name, va="center", weight="bold", size=7, linespacing=1.1)
        for column, each in enumerate(claims):
            if each.has_results:
                _tile(axes, column, line, height, each.finding, 1.0)
            look = {"weight": "bold", "color": "white"} if each.has_results else {"color": style.FAINT}
            _write(axes, column, line + height / 2, each.finding.value, **look)
        line += height
        for evidence in zip(*(each.evidence for each in claims), strict=True):
            axes.text(0.15 - NAMES, line + 0.5, evidence[0].variant.replace("$", r"\$"), va="center", size=6.5)
            for column, one in enumerate(evidence):
                if one.n:
                    _tile(axes, column, line, 1, one.finding, FAINT)
                _write(axes, column, line + 0.5, f"{one.mean} ({one.n})" if one.n else NOTHING)
            line += 1
        line += 0.4
    what = (
        "Mean difference from the baseline, in points\nwhere the metric is accuracy; in brackets: pairs of runs.\n"
        "Without a colour: no results."
    )
    axes.text(0.05 - NAMES, line + 1.0, what, va="center", size=6)
    return figure


def _lines(claims: Sequence[Judged]) -> float:
    """The height of the figure, in lines."""
    names = sum(style.wrapped(each.claim.text, LETTERS).count("\n") + 1 for each in claims)
    return 3.6 + names + sum(len(each.evidence) + 0.4 for each in claims)


def _tile(axes: Axes, column: int, line: float, height: float, finding: Finding, opacity: float) -> None:
    corner, colour = (column + 0.03, line + 0.04), COLOURS[finding]
    axes.add_patch(Rectangle(corner, 0.94, height - 0.08, facecolor=colour, alpha=opacity, linewidth=0))


def _write(axes: Axes, column: int, line: float, text: str, **look: Any) -> None:
    axes.text(column + 0.5, line, text, ha="center", va="center", size=6.5, **look)
