"""Results measured here beside numbers that others have published, each with its source (docs/architecture.md §10)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from terminator.analysis.summary import Summary
from terminator.analysis.tables.ablation import metric_cell
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import decimals, number


class Published(NamedTuple):
    """A published result, a row of published.csv: test accuracy in per cent, as printed in `source`."""

    model: str
    dataset: str
    parameters: str
    accuracy: str
    source: str


with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as file:
    PUBLISHED = [Published(**row) for row in csv.DictReader(file)]


def peers_table(summaries: Sequence[Summary]) -> Table | None:
    """The baselines of `summaries` and, clearly apart, the published numbers on their data sets.

    None where nothing is known of these data sets, or no summary is of test accuracy.
    """
    ours = [summary for summary in summaries if summary.metric.name == "test_accuracy"]
    datasets = list(dict.fromkeys(summary.dataset for summary in ours))
    peers = [each for each in PUBLISHED if each.dataset in datasets]
    if not peers:
        return None
    columns = (
        Column("Model", numeric=False),
        Column("Data", numeric=False),
        Column("Parameters"),
        Column("Test accuracy (%)"),
        Column("Source", numeric=False),
    )
    # Ablations that share a baseline would show it several times.
    distinct = {(summary.dataset, *summary.baseline.values.items()): summary for summary in reversed(ours)}
    measured = tuple(
        (
            Cell(f"{summary.name}: {summary.baseline.name}"),
            Cell(summary.dataset),
            Cell(number(summary.baseline.costs.get("parameters", float("nan")), 0)),
            replace(metric_cell(summary, summary.baseline, decimals([summary.baseline.std])), best=False, tied=False),
            Cell(f"sweep {summary.question.sweep.id}"),
        )
        for summary in reversed(distinct.values())
    )
    peers.sort(key=lambda each: datasets.index(each.dataset))
    published = tuple(tuple(map(Cell, each)) for each in peers)
    sections = Section("Measured here, mean ± std (n)", measured), Section("As published by others", published)
    notes = (
        "Published numbers are copied, not measured here: other code, other training, some with the best epoch chosen "
        "on the test set.",
        *filter(None, dict.fromkeys(summary.question.settings_note for summary in reversed(distinct.values()))),
        *dict.fromkeys(caveat for summary in distinct.values() for caveat in summary.baseline.caveats),
    )
    return Table("peers", "Beside published results", columns, sections, notes)
