"""All tables of a report: data sets as columns, published results beside ours, effects of what is crossed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.figures.relations import heatmap
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.ablation import ablation_table, datasets_table
from terminator.analysis.tables.details import effects_table
from terminator.analysis.tables.peers import PUBLISHED, peers_table
from terminator.analysis.tables.render import latex, write_tables
from terminator.errors import UserError
from tests.analysis.ledgers import Invented, Row, branches, summarized


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
    own = [("branches", False), ("branches-tests", True), ("branches-costs", True)]
    tables = build_tables(summaries(tmp_path, "digits"))
    assert [(table.label, table.repeats) for table in tables] == own
    branches(1, name="gating").write(tmp_path)
    results = analysis.load(tmp_path, ["branches", "gating"])
    tables = build_tables([summarize(results, question) for question in results.questions])
    others = [("gating", False), ("gating-tests", True), ("gating-costs", True), ("branches+gating", True)]
    assert [(table.label, table.repeats) for table in tables] == [*own, *others]
    written = write_tables(tables, tmp_path / "tables")
    assert len(written) == 28
    assert (tmp_path / "tables" / "gating.csv").read_text("utf-8").startswith("ablation,dataset,variant")


def test_an_ablation_on_several_data_sets(tmp_path: Path) -> None:
    tables = build_tables(summaries(tmp_path, "digits", "cifar10"))
    labels = ["branches-digits", "branches-cifar10", "branches-digits+cifar10", "peers"]
    assert [table.label for table in tables if not table.repeats] == labels


CELLS = [(depth, gate, -0.01 * depth - 0.02 * (gate == "glu")) for depth in (1, 2) for gate in ("glu", "rgu")]
GRID = Invented(
    [
        Row("full"),  # five blocks, gated by rgu
        *(
            Row(f"depth={depth},gate={gate}", levels, effect, levels)
            for depth, gate, effect in CELLS
            for levels in [{"model.depth": depth, "model.gate": gate}]
        ),
        Row("no_local", {"model.branches.local": False}, -0.1),
    ],
    spread=0.0001,
)


def test_a_grid_without_its_baseline_has_effects_over_its_own_cells(tmp_path: Path) -> None:
    _, summary = summarized(GRID, tmp_path)
    assert summary.crossing is not None
    assert summary.crossing.reference == ("1", "rgu")
    table = effects_table(summary, "grid")
    assert table is not None
    shown = {row[0].text: row[1].sort for row in table.sections[0].rows}
    assert list(shown) == ["depth: 1 → 2", "gate: rgu → glu", "depth: 1 → 2 × gate: rgu → glu"]
    assert list(shown.values()) == pytest.approx([-1, -2, 0], abs=0.05)
    assert "the change from depth=1, gate=rgu (full is none of the crossed cells)" in table.notes[0]
    figure = heatmap(summary)
    assert figure is not None
    assert len(figure.axes[0].texts) == 4


def test_a_hole_is_said(tmp_path: Path) -> None:
    _, summary = summarized(replace(GRID, pending=[("depth=1,gate=glu", seed) for seed in (0, 1, 2)]), tmp_path)
    assert effects_table(summary, "grid") is None
    note = "No main effects and interactions: factors=depth×gate: not a full crossing, without results for 1, glu."
    assert note in ablation_table([summary]).notes


def test_what_goes_side_by_side_is_not_crossed(tmp_path: Path) -> None:
    rows = [row for row in GRID.rows if row.name in ("full", "depth=1,gate=rgu", "depth=2,gate=glu")]
    _, summary = summarized(replace(GRID, rows=rows), tmp_path)
    assert summary.crossing is None
    assert not any("main effects" in note for note in ablation_table([summary]).notes)
