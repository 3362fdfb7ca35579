"""One ablation on several data sets, a group of columns for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terminator.analysis.summary import Summary
from terminator.analysis.tables.ablation import difference_cells, metric_cell
from terminator.analysis.tables.notes import notes
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, decimals
from terminator.errors import UserError


def datasets_table(summaries: Sequence[Summary]) -> Table:
    """The same ablation's summaries, a data set each; variants in the order of the first.

    Raises UserError where they are judged by different metrics or two are of one data set.
    """
    first = summaries[0]
    datasets = [summary.dataset for summary in summaries]
    if len(set(datasets)) < len(datasets):
        raise UserError(f"ablation={first.question.name}: {datasets[0]} twice; give every data set once")
    if len({summary.metric.name for summary in summaries}) > 1:
        raise UserError(f"ablation={first.question.name}: judged by different metrics; choose one with metric=")
    columns = [Column("Variant", numeric=False)]
    for summary in summaries:
        points = f" ({summary.metric.points})" if summary.metric.points else ""
        columns += [
            Column(f"{summary.metric.heading}, mean ± std (n)", group=summary.dataset),
            Column(f"Difference{points} [95\u00a0%]", group=summary.dataset),
            Column("Verdict", numeric=False, group=summary.dataset),
        ]
    names = list(dict.fromkeys(variant.name for summary in summaries for variant in summary.variants))
    rows = tuple(
        (Cell(name, {"variant": name}), *(cell for summary in summaries for cell in _cells(summary, name)))
        for name in names
    )
    title = first.question.text or first.question.name
    label = f"{first.question.name}-{'+'.join(datasets)}"
    return Table(label, title, tuple(columns), (Section("", rows),), tuple(notes(summaries)))


def _cells(summary: Summary, name: str) -> list[Cell]:
    variant = next((variant for variant in summary.variants if variant.name == name), None)
    if variant is None:
        return [Cell(NOTHING)] * 3
    places = decimals([each.std for each in summary.variants])
    difference, _, verdict = difference_cells(summary, variant, decimals(summary.half_widths(), default=places))
    return [_of(summary, cell) for cell in (metric_cell(summary, variant, places), difference, verdict)]


def _of(summary: Summary, cell: Cell) -> Cell:
    """The cell, its raw numbers named after the data set."""
    data = {f"{summary.dataset}_{name}": value for name, value in cell.data.items()}
    return replace(cell, data=data)
