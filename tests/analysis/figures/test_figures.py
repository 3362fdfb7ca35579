"""Figures from invented results: what they show, and that odd results do not break them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image as image
import pytest
from matplotlib.text import Text

from terminator import analysis
from terminator.analysis.figures import draw_figures
from terminator.analysis.figures.curves import learning_curves
from terminator.analysis.figures.forest import forest, seed_strip
from terminator.analysis.figures.relations import heatmap
from terminator.analysis.figures.style import COLUMN_INCHES, DOTS_PER_INCH, clipped, save
from terminator.analysis.results import Results
from terminator.analysis.summary import Summary, summarize
from terminator.ledger import Reason
from tests.analysis.ledgers import Invented, Row, branches

OFF = {"model.branches.gated": False, "model.branches.local": False}


def read(invented: Invented, root: Path) -> tuple[Results, Summary]:
    invented.write(root)
    results = analysis.load(root)
    return results, summarize(results, results.questions[0])


def crossed() -> Invented:
    cells = [("full", "rgu", "tile", 0), ("a", "glu", "tile", -1), ("b", "rgu", "off", -2), ("c", "glu", "off", -4)]
    rows = []
    for name, gate, loss, points in cells:
        levels = {"model.gate": gate, "objective.slow_loss": loss}
        rows.append(Row(name, levels, points / 100, levels))
    return Invented(rows)


def test_all_figures_are_written_at_column_width(tmp_path: Path) -> None:
    results, summary = read(crossed(), tmp_path)
    drawn = draw_figures(results, summary, tmp_path / "figures", "crossed")
    names = ["differences", "seeds", "curves", "parameters", "flops", "crossing"]
    assert [each.png.name for each in drawn] == [f"crossed-{name}.png" for name in names]
    for each in drawn:
        assert image.imread(each.png).shape[1] == round(COLUMN_INCHES * DOTS_PER_INCH)
        assert each.pdf.read_bytes().startswith(b"%PDF")


def test_forest_shows_every_variant_and_says_what_is_missing(tmp_path: Path) -> None:
    lost = {("no_gated", seed): (Reason.timeout, "") for seed in (0, 1, 2)}
    rows = [*branches().rows, Row("none", OFF, -0.3)]
    _, summary = read(branches(rows=rows, failed=lost), tmp_path)
    figure = forest(summary)
    assert figure is not None
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [variant.name for variant in summary.variants[1:]]
    texts = [text.get_text() for text in axes.texts]
    assert "missing: timeout" in texts
    assert any(text.startswith("◂ −30") for text in texts)
    assert axes.get_xlim()[0] > -5


def test_long_names_are_whole_and_nothing_is_cut_off(tmp_path: Path) -> None:
    names = ["residual=true,previous=true", "residual=true,previous=false", "slow_network_residual=false,gate=mixer"]
    rows = [Row(name, {"model.depth": depth}, -0.01) for depth, name in enumerate(names, 2)]
    results, summary = read(Invented([Row("full_at_its_usual_width"), *rows]), tmp_path)
    figures = [forest(summary), seed_strip(summary), learning_curves(summary, results.epochs)]
    for figure in filter(None, figures):
        save(figure, tmp_path / "figure")
        shown = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
        assert set(names) <= {text.get_text().replace("\n", "") for text in shown}
        words = [text for text in shown if any(map(str.isalpha, text.get_text()))]
        boxes = [text.get_window_extent() for text in words]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 + 1 for box in boxes)
    assert len(list(filter(None, figures))) == 3


def test_curves_have_a_panel_a_variant(tmp_path: Path) -> None:
    results, summary = read(branches(3), tmp_path)
    figure = learning_curves(summary, results.epochs_of(summary.question))
    assert figure is not None
    assert sorted(axes.get_title() for axes in figure.axes) == ["no_gated", "no_global_gated", "no_si_glu"]
    assert learning_curves(summary, results.epochs, "speed") is None


def test_heat_map_has_the_cells_means(tmp_path: Path) -> None:
    _, summary = read(crossed(), tmp_path)
    assert summary.crossing is not None
    assert summary.crossing.factors == ("gate", "slow_loss")
    figure = heatmap(summary)
    assert figure is not None
    shown = sorted(float(text.get_text()) for text in figure.axes[0].texts)
    assert shown == pytest.approx(sorted(variant.mean for variant in summary.variants), abs=0.06)
    assert read(branches(1), tmp_path / "other")[1].crossing is None


@pytest.mark.parametrize(
    "odd",
    [
        branches(1, seeds=[0]),
        branches(1, pending=[(name, seed) for name in ("full", "no_gated") for seed in (0, 1, 2)]),
        branches(1, pending=[("full", seed) for seed in (0, 1, 2)]),
        branches(0),
        branches(1, spread=0.0),
        replace(branches(1), epochs=1),
    ],
    ids=["one seed", "not begun", "no baseline", "baseline alone", "no spread", "one epoch"],
)
def test_odd_results(odd: Invented, tmp_path: Path) -> None:
    results, summary = read(odd, tmp_path)
    assert draw_figures(results, summary, tmp_path / "figures", "odd")


def test_far_off_values_do_not_spoil_the_axis() -> None:
    low, high = clipped([(-1.0, 1.0), (-20.0, -19.0), (0.5, 2.0), (-1.5, -0.5)], keep=[0.0])
    assert -2 < low < -1.5
    assert 2 < high < 2.5
    low, high = clipped([(0.0, 0.0), (-0.3, -0.3), (-1.1, -1.1), (2.2, 2.2)], keep=[0.0])
    assert low < -1.1
    assert high > 2.2
    assert clipped([(5.0, 5.0)], keep=[5.0]) == pytest.approx((4.7, 5.3))
