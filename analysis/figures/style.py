"""What all figures have in common: size, type, colours that the colour-blind tell apart, shapes for grey print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.statistics.verdict import Verdict
from analysis.summary import VariantSummary

COLUMN_INCHES = 3.3
DOTS_PER_INCH = 220
INK = "#222222"
FAINT = "#999999"
PALETTE = sns.color_palette("colorblind")


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


def short(name: str, letters: int = 24) -> str:
    """A name that leaves room for the picture, its middle left out; no dollar in it starts a formula."""
    if len(name) > letters:
        name = f"{name[: letters * 2 // 3]}…{name[-(letters // 3) :]}"
    return name.replace("$", r"\$")


def new_figure(height: float, width: float = COLUMN_INCHES) -> Figure:
    """An empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def axes_of(figure: Figure) -> Axes:
    """The one pair of axes of a simple figure, without the upper and right lines."""
    axes = figure.add_subplot()
    sns.despine(ax=axes)
    return axes


def legend_above(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """A legend in one line or two over the axes: label → what it looks like."""
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=min(5, len(entries)),
        frameon=False,
        handletextpad=0.4,
        columnspacing=1,
    )


@styled
def save(figure: Figure, path: Path) -> list[Path]:
    """Write `<path>.png` and `<path>.pdf`; return both."""
    written = [path.parent / f"{path.name}{suffix}" for suffix in (".png", ".pdf")]
    for file in written:
        figure.savefig(file, dpi=DOTS_PER_INCH)
    return written
