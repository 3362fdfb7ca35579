"""Several data sets as columns, published results beside ours, and all tables of a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.ablation import datasets_table
from terminator.analysis.tables.peers import PUBLISHED, peers_table
from terminator.analysis.tables.render import latex, write_tables
from terminator.errors import UserError
from tests.analysis.ledgers import branches


def summaries(root: Path, *datasets: str) -> list[Summary]:
    for dataset in datasets:
        branches(2 if dataset == "digits" else 1, dataset=dataset).write(root)
    results = analysis.load(root, dataset=datasets)
    return [summarize(results, question) for question in results.questions]


def test_data_sets_as_columns(tmp_path: Path) -> None:
    digits, mnist = summaries(tmp_path, "digits", "mnist")
    table = datasets_table([digits, mnist])
    assert table.groups() == [("", 1), ("digits", 3), ("mnist", 3)]
    by_name = {row[0].text: row for row in table.sections[0].rows}
    assert [cell.text for cell in by_name["no_si_glu"]][4:] == ["–", "–", "–"]
    assert digits.baseline.mean == by_name["full"][1].data["digits_test_accuracy_percent_mean"]
    assert r"\multicolumn{3}{c}{mnist}" in latex(table)
    with pytest.raises(UserError, match="ablation=branches: digits twice"):
        datasets_table([digits, digits])


def test_published_results_stand_apart_with_their_sources(tmp_path: Path) -> None:
    (cifar,) = summaries(tmp_path, "cifar10")
    table = peers_table([cifar])
    assert table is not None
    measured, published = table.sections
    assert [row[0].text for row in measured.rows] == ["branches: full"]
    assert [[cell.text for cell in row] for row in published.rows] == [
        ["Terminator", "cifar10", "–", "95.32", "the author's logs: best epoch on the test set, one run"],
        ["FlexNet-7", "cifar10", "0.67 M", "92.2 ± 0.1", "its own paper"],
        ["ResNet-18", "cifar10", "11.0 M", "95.62", "S4 paper, with augmentation"],
    ]
    assert all(each.source for each in PUBLISHED)


def test_nothing_is_published_on_digits(tmp_path: Path) -> None:
    assert peers_table(summaries(tmp_path, "digits")) is None


def test_all_tables_of_a_report(tmp_path: Path) -> None:
    tables = build_tables(summaries(tmp_path, "digits"))
    assert [(table.label, table.repeats) for table in tables] == [
        ("branches", False),
        ("branches-tests", True),
        ("branches-costs", True),
    ]
    branches(1, name="gating").write(tmp_path)
    results = analysis.load(tmp_path, ["branches", "gating"])
    tables = build_tables([summarize(results, question) for question in results.questions])
    assert [(table.label, table.repeats) for table in tables] == [
        ("branches", False),
        ("branches-tests", True),
        ("branches-costs", True),
        ("gating", False),
        ("gating-tests", True),
        ("gating-costs", True),
        ("branches+gating", True),
    ]
    written = write_tables(tables, tmp_path / "tables")
    assert len(written) == 28
    assert (tmp_path / "tables" / "gating.csv").read_text("utf-8").startswith("ablation,dataset,variant")


def test_an_ablation_on_several_data_sets(tmp_path: Path) -> None:
    tables = build_tables(summaries(tmp_path, "digits", "cifar10"))
    labels = ["branches-digits", "branches-cifar10", "branches-digits+cifar10", "peers"]
    assert [table.label for table in tables if not table.repeats] == labels
