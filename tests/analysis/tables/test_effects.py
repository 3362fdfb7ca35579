"""Main effects and interactions of what an ablation crosses, with or without its baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.figures.relations import heatmap
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.ablation import ablation_table
from terminator.analysis.tables.details import effects_table
from tests.analysis.ledgers import Invented, Row

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


def summary_of(invented: Invented, root: Path) -> Summary:
    invented.write(root)
    results = analysis.load(root)
    return summarize(results, results.questions[0])


def test_a_grid_without_its_baseline_has_effects_over_its_own_cells(tmp_path: Path) -> None:
    summary = summary_of(GRID, tmp_path)
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
    summary = summary_of(replace(GRID, pending=[("depth=1,gate=glu", seed) for seed in (0, 1, 2)]), tmp_path)
    assert effects_table(summary, "grid") is None
    note = "No main effects and interactions: factors=depth×gate: not a full crossing, without results for 1, glu."
    assert note in ablation_table([summary]).notes


def test_what_goes_side_by_side_is_not_crossed(tmp_path: Path) -> None:
    rows = [row for row in GRID.rows if row.name in ("full", "depth=1,gate=rgu", "depth=2,gate=glu")]
    summary = summary_of(replace(GRID, rows=rows), tmp_path)
    assert summary.crossing is None
    assert not any("main effects" in note for note in ablation_table([summary]).notes)
