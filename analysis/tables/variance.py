"""Where the spread between runs comes from: the table of an ablation whose variants differ in what their seeds draw."""

from __future__ import annotations

from math import isnan

from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.ablation import metric_cell
from terminator.analysis.tables.notes import notes
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, number, places


def variance_table(summary: Summary) -> Table:
    """A row a variant: what its seeds draw, mean, standard deviation, and its variance as a share of the baseline's."""
    of_mean, _ = places([summary])
    columns = (
        Column("Variant", numeric=False),
        Column("Seeds draw", numeric=False),
        Column(f"{summary.metric.heading}, mean ± std (n)"),
        Column(f"Std{summary.metric.points_heading} [95\u00a0%]"),
        Column("Share of variance (%) [95\u00a0%]"),
    )
    all_of_them = summary.baseline.name
    rows = tuple(
        (
            Cell(variant.name, {"variant": variant.name}),
            Cell(", ".join(variant.drawn) or "nothing"),
            metric_cell(summary, variant, of_mean),
            *_spread_cells(variant, of_mean + 1, is_all=variant.name == all_of_them),
        )
        for variant in summary.variants
    )
    said = (
        f"Share of variance: of that of {all_of_them}; what several sources do only together is in the share "
        "of each of them. Intervals hold for normal results.",
        *notes([summary]),
    )
    question = f"{summary.question.ablation.question or summary.name} ({summary.dataset})"
    title = f"{summary.headline}.\n{question}" if summary.headline else question
    return Table(summary.name, title, columns, (Section("", rows),), said)


def _spread_cells(variant: VariantSummary, places: int, *, is_all: bool) -> tuple[Cell, Cell]:
    spread = variant.spread
    if spread is None or spread.interval is None:
        return Cell(NOTHING), Cell(NOTHING)
    low, high = spread.interval.low, spread.interval.high
    text = f"{number(spread.std, places)} [{number(low, places)},\u00a0{number(high, places)}]"
    std = Cell(text, {"std": spread.std, "std_low": low, "std_high": high}, spread.std)
    if is_all or isnan(spread.share):
        return std, Cell(NOTHING)
    share, interval = 100 * spread.share, spread.share_interval
    data = {"share_percent": share, "share_low": None, "share_high": None}
    text = number(share, 0)
    if interval is not None:
        data |= {"share_low": 100 * interval.low, "share_high": 100 * interval.high}
        text += f" [{number(100 * interval.low, 0)},\u00a0{number(100 * interval.high, 0)}]"
    return std, Cell(text, data, share)
