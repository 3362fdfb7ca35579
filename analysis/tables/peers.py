"""Results measured here beside numbers that others have published, each with its source (docs/architecture.md §10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from terminator.analysis.summary import Summary
from terminator.analysis.tables.ablation import metric_cell
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, decimals, number


@dataclass(frozen=True)
class Published:
    """A published result: test accuracy in per cent, as printed in `source`; `parameters` where it is given."""

    model: str
    dataset: str
    accuracy: str
    source: str
    parameters: str = NOTHING


_TABLES = "S4 and LSSL papers' tables"
_OWN = "its own paper"
_AUTHOR = "the author's logs: best epoch on the test set, one run"

PUBLISHED = (
    Published("Terminator", "cifar10", "95.32", _AUTHOR),
    Published("Terminator", "cifar100", "75.68", _AUTHOR),
    Published("S4", "smnist", "99.63", _TABLES),
    Published("S4", "pmnist", "98.70", _TABLES),
    Published("S4", "scifar10", "91.13", _TABLES),
    Published("LSSL", "smnist", "99.53", _TABLES),
    Published("LSSL", "pmnist", "98.76", _TABLES),
    Published("LSSL", "scifar10", "84.65", _TABLES),
    Published("CKConv", "smnist", "99.32", _TABLES),
    Published("CKConv", "pmnist", "98.54", _TABLES),
    Published("CKConv", "scifar10", "63.74", _TABLES),
    Published("Transformer", "smnist", "98.9", _TABLES),
    Published("Transformer", "pmnist", "97.9", _TABLES),
    Published("Transformer", "scifar10", "62.2", _TABLES),
    Published("MultiresConv", "scifar10", "93.15", _OWN),
    Published("SMPConv", "smnist", "99.75", _OWN),
    Published("SMPConv", "pmnist", "99.10", _OWN),
    Published("SMPConv", "scifar10", "84.86", _OWN),
    Published("FlexNet-7", "cifar10", "92.2 ± 0.1", _OWN, "0.67 M"),
    Published("ResNet-18", "cifar10", "95.62", "S4 paper, with augmentation", "11.0 M"),
)


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
    published = tuple(
        tuple(map(Cell, (each.model, each.dataset, each.parameters, each.accuracy, each.source)))
        for each in sorted(peers, key=lambda each: datasets.index(each.dataset))
    )
    sections = Section("Measured here, mean ± std (n)", measured), Section("As published by others", published)
    notes = (
        "Published numbers are copied, not measured here: other code, other training, some with the best epoch chosen "
        "on the test set.",
        *filter(None, dict.fromkeys(summary.question.settings_note for summary in reversed(distinct.values()))),
        *dict.fromkeys(caveat for summary in distinct.values() for caveat in summary.baseline.caveats),
    )
    return Table("peers", "Beside published results", columns, sections, notes)
