"""What all figures have in common: size, type, colours that the colour-blind tell apart, shapes for grey print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from terminator.analysis.scale import Scale
from terminator.analysis.summary import VariantSummary
from terminator.ledger import Verdict

COLUMN_INCHES = 3.3
DOTS_PER_INCH = 220
LINE_INCHES = 0.115  # of names over several lines
BREAKS = (r"(?<=[, ])|(?=@)", r"(?<==)", r"(?<=_)", "")  # where a text may go on in the next line, the best first
LEGEND_INCHES = 0.135  # of a line in a legend
LEGEND_LETTERS = 64  # across a column
MARK_LETTERS = 5  # that a legend's mark takes the place of
INK = "#222222"
FAINT = "#999999"
PALETTE = sns.color_palette("colorblind")
SHAPES = ("o", "s", "^", "D", "v", "P", "X")  # of seeds or runs, for grey print


@dataclass(frozen=True)
class Mark:
    """How a verdict is drawn: by colour and, for grey print, by shape and filling."""

    shape: str
    colour: str
    filled: bool = True

    @property
    def look(self) -> dict[str, Any]:
        """For `Axes.plot`."""
        face = self.colour if self.filled else "white"
        return {"marker": self.shape, "color": self.colour, "markerfacecolor": face, "markersize": 4.5}


MARKS = {
    Verdict.better: Mark("^", "#007A5A"),
    Verdict.worse: Mark("v", "#C24A00"),
    Verdict.equivalent: Mark("s", "#0060A0"),
    Verdict.undecided: Mark("o", "#555555", filled=False),
}
BASELINE = Mark("D", INK)
RULES = {
    **sns.axes_style("ticks"),
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "axes.edgecolor": INK,
    "text.color": INK,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
}
P = ParamSpec("P")
Drawn = TypeVar("Drawn")


def seed_look(number: int) -> dict[str, Any]:
    """Marker and colour of the seed or run of that number."""
    return {"marker": SHAPES[number % len(SHAPES)], "color": PALETTE[number % len(PALETTE)]}


def mark(variant: VariantSummary) -> Mark:
    """The mark of a variant's verdict."""
    return BASELINE if variant.comparison is None else MARKS[variant.comparison.judgement.verdict]


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """A function that draws in the common style, whatever style is set around it."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with mpl.rc_context(RULES):
            return draw(*args, **kwargs)

    return in_style


def wrapped(text: str, letters: int = 24) -> str:
    """The whole text in lines of at most so many letters, for nothing left out would tell all names apart.

    Broken where a key's value ends if that is enough, else within keys; no dollar in it starts a formula.
    """
    return "\n".join(line.strip() for line in _lines(text, letters, BREAKS)).replace("$", r"\$")


def _lines(text: str, letters: int, breaks: Sequence[str]) -> list[str]:
    if len(text.strip()) <= letters:
        return [text]
    lines: list[str] = []
    for part in filter(None, re.split(breaks[0], text)):
        if lines and len((lines[-1] + part).strip()) <= letters:
            lines[-1] += part
        else:
            lines += _lines(part, letters, breaks[1:])
    return lines


def line_count(texts: Iterable[str]) -> int:
    """How many lines the longest of these has."""
    return max((text.count("\n") + 1 for text in texts), default=1)


def new_figure(height: float) -> Figure:
    """An empty figure as wide as a column, `height` inches high."""
    return Figure(figsize=(COLUMN_INCHES, height), layout="constrained")


def axes_of(figure: Figure) -> Axes:
    """The one pair of axes of a simple figure, without the upper and right lines."""
    axes = figure.add_subplot()
    sns.despine(ax=axes)
    return axes


def legend_above(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """A legend over the axes, in as few lines as its labels allow: label → what it looks like.

    The figure grows by what the legend takes beyond one line, lest it leave no room for the axes.
    """
    widths = [MARK_LETTERS + max(map(len, label.split("\n"))) for label in entries]
    several = range(min(5, len(widths)), 1, -1)
    fitting = (each for each in several if sum(map(max, np.array_split(widths, each))) <= LEGEND_LETTERS)
    look = {"frameon": False, "handletextpad": 0.4, "columnspacing": 1}
    columns = next(fitting, 1)  # array_split fills them as a legend does
    figure.legend(list(entries.values()), list(entries), loc="outside upper center", ncols=columns, **look)
    rows = np.array_split([label.count("\n") + 1 for label in entries], columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_INCHES * (max(map(sum, rows)) - 1))


@styled
def save(figure: Figure, path: Path) -> list[Path]:
    """Write `<path>.png` and `<path>.pdf`, laid out alike; return both."""
    written = [path.parent / f"{path.name}{suffix}" for suffix in (".png", ".pdf")]
    for file in written:
        figure.savefig(file, dpi=DOTS_PER_INCH)
        figure.set_layout_engine("none")  # to find the layout takes half the time of drawing
    return written


def set_scale(axes: Axes, scale: Scale, direction: Literal["x", "y"] = "x") -> None:
    """Give the axis that scale; where it turns logarithmic, a dotted line is drawn."""
    along = axes.xaxis if direction == "x" else axes.yaxis
    if scale.breaks:
        set_scale_of = axes.set_xscale if direction == "x" else axes.set_yscale
        set_scale_of("function", functions=(scale.forward, scale.inverse))
        along.set_major_locator(FixedLocator(scale.ticks()))
        along.set_minor_locator(NullLocator())
        along.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
    axes.set(**{f"{direction}lim": (scale.low, scale.high)})
    for end in scale.breaks:
        line = axes.axvline if direction == "x" else axes.axhline
        line(end, color=FAINT, linestyle=":", linewidth=0.8, zorder=0)


def dodged(places: Sequence[float], width: float) -> list[int]:
    """The level of each mark, 0 for the first, so that none of those on one level is nearer than `width` to another."""
    levels = [0] * len(places)
    ends: list[float] = []  # of each level, the last place so far
    for number in sorted(range(len(places)), key=lambda each: places[each]):
        level = next((level for level, end in enumerate(ends) if places[number] - end >= width), len(ends))
        ends[level : level + 1] = [places[number]]
        levels[number] = level
    return levels
