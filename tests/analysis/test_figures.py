"""Figures from invented results: what they show, that names stay whole, and that odd results do not break them."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.path import Path as Path2D
from matplotlib.text import Annotation, Text

from terminator.analysis.factors import Axis, numeric_axis
from terminator.analysis.features import Features
from terminator.analysis.figures import draw_figures
from terminator.analysis.figures.curves import learning_curves
from terminator.analysis.figures.features import feature_maps, features_by_depth, hyper_kernels
from terminator.analysis.figures.forest import forest, seed_strip
from terminator.analysis.figures.relations import along_axis, heatmap, nyquist_omega_0, tradeoff
from terminator.analysis.figures.style import (
    COLUMN_INCHES,
    DOTS_PER_INCH,
    dodged,
    legend_above,
    new_figure,
    save,
    styled,
    wrapped,
)
from terminator.analysis.summary import Summary
from terminator.ledger import Reason
from tests.analysis.ledgers import Invented, Row, branches, summarized

OFF = {"model.branches.gated": False, "model.branches.local": False}


def crossed() -> Invented:
    cells = [("full", "rgu", "tile", 0), ("a", "glu", "tile", -1), ("b", "rgu", "off", -2), ("c", "glu", "off", -4)]
    rows = []
    for name, gate, loss, points in cells:
        levels = {"model.gate": gate, "objective.slow_loss": loss}
        rows.append(Row(name, levels, points / 100, levels))
    return Invented(rows)


def test_all_figures_are_written_at_column_width(tmp_path: Path) -> None:
    results, summary = summarized(crossed(), tmp_path)
    drawn = draw_figures(results, summary, tmp_path / "figures", "crossed", 0)
    names = ["differences", "seeds", "curves", "parameters", "flops", "crossing"]
    assert [each.png.name for each in drawn] == [f"crossed-{name}.png" for name in names]
    for each in drawn:
        assert image.imread(each.png).shape[1] == round(COLUMN_INCHES * DOTS_PER_INCH)
        assert b"/CIDFontType2" in each.pdf.read_bytes()  # a whole font, as journals ask for
        assert "--most" not in each.caption


def test_forest_shows_every_variant_and_says_what_is_missing(tmp_path: Path) -> None:
    lost = {("no_gated", seed): (Reason.timeout, "") for seed in (0, 1, 2)}
    rows = [*branches().rows, Row("none", OFF, -0.3)]
    _, summary = summarized(branches(rows=rows, failed=lost), tmp_path)
    figure = forest(summary)
    assert figure is not None
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [variant.name for variant in summary.variants[1:]]
    texts = [text.get_text() for text in axes.texts]
    assert "missing: timeout" in texts
    assert axes.get_xlim()[0] < -30


@pytest.mark.usefixtures("quick_pdfs")
def test_long_names_are_whole_and_nothing_is_cut_off(tmp_path: Path) -> None:
    names = ["residual=true,previous=true", "residual=true,previous=false", "slow_network_residual=false,gate=mixer"]
    rows = [Row(name, {"model.depth": depth}, -0.01) for depth, name in enumerate(names, 2)]
    results, summary = summarized(Invented([Row("full_at_its_usual_width"), *rows]), tmp_path)
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
    results, summary = summarized(branches(3), tmp_path)
    figure = learning_curves(summary, results.epochs_of(summary.question))
    assert figure is not None
    assert sorted(axes.get_title() for axes in figure.axes) == ["no_gated", "no_global_gated", "no_si_glu"]
    assert learning_curves(summary, results.epochs.drop(columns="validation_accuracy")) is None


def test_heat_map_has_the_cells_means(tmp_path: Path) -> None:
    _, summary = summarized(crossed(), tmp_path)
    assert summary.crossing is not None
    assert summary.crossing.factors == ("gate", "slow_loss")
    figure = heatmap(summary)
    assert figure is not None
    shown = sorted(float(text.get_text()) for text in figure.axes[0].texts)
    assert shown == pytest.approx(sorted(variant.mean for variant in summary.variants), abs=0.06)
    assert summarized(branches(1), tmp_path / "other")[1].crossing is None


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
@pytest.mark.usefixtures("quick_pdfs")
def test_odd_results(odd: Invented, tmp_path: Path) -> None:
    results, summary = summarized(odd, tmp_path)
    assert draw_figures(results, summary, tmp_path / "figures", "odd")


def test_a_far_variant_keeps_its_place_and_its_seeds(tmp_path: Path) -> None:
    """In every figure that shows means: nothing is left out, and the others keep most of the room."""
    results, summary = summarized(branches(rows=[*branches().rows, Row("none", OFF, -0.78)], epochs=4), tmp_path)
    none = next(variant for variant in summary.variants if variant.name == "none")
    assert none.comparison is not None
    for figure, values in (
        (forest(summary), none.comparison.pairs.differences.tolist()),
        (seed_strip(summary), list(none.values.values())),
    ):
        assert figure is not None
        [axes] = figure.axes
        low, high = axes.get_xlim()
        assert all(low < value < high for value in values)
        seeds = [float(x) for line in axes.lines if line.get_linestyle() == "None" for x in np.ravel(line.get_xdata())]
        assert all(any(abs(value - seed) < 1e-9 for seed in seeds) for value in values)
        ticks = [float(tick) for tick in axes.get_xticks()]
        assert len(ticks) >= 4
        assert min(ticks) < min(values) / 2 + max(ticks) / 2
    figure = tradeoff(summary, "parameters")
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    assert low < none.mean < high
    curves = learning_curves(summary, results.epochs_of(summary.question))
    assert curves is not None
    (panel,) = [axes for axes in curves.axes if axes.get_title() == "none\n(own scale)"]
    low, high = panel.get_ylim()
    assert all(low < y < high for line in panel.lines for y in np.ravel(line.get_ydata()))


def test_few_seeds_are_named(tmp_path: Path) -> None:
    figure = seed_strip(summarized(branches(1), tmp_path)[1])
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["seed 0", "seed 1", "seed 2"]


def test_seeds_at_one_place_stand_beside_one_another() -> None:
    assert dodged([0.5, 0.1, 0.5, 0.505, 0.9], 0.02) == [0, 0, 1, 2, 0]
    assert dodged([0.1, 0.15, 0.2], 0.04) == [0, 0, 0]
    assert dodged([], 0.1) == []


def test_where_all_cost_the_same_there_is_no_trade_off(tmp_path: Path) -> None:
    _, summary = summarized(branches(2), tmp_path)
    assert tradeoff(summary, "parameters") is not None
    alike = [replace(each, costs={"parameters": 100_000.0 + i}) for i, each in enumerate(summary.variants)]
    assert tradeoff(replace(summary, variants=tuple(alike)), "parameters") is None


@pytest.mark.parametrize("effect", [-0.3, 0.3])
def test_a_variant_far_off_leaves_the_others_their_room(tmp_path: Path, effect: float) -> None:
    near = [Row(f"near_{number}", {"model.depth": number}, number / 1000) for number in range(1, 5)]
    rows = [Row("full"), *near, Row("far", {"model.depth": 9}, effect)]
    _, summary = summarized(Invented(rows, accuracy=0.6), tmp_path)
    figure = tradeoff(summary, "parameters")
    assert figure is not None
    figure.draw_without_rendering()  # warns, which is an error, where the labels leave no room for the axes
    [axes] = figure.axes
    means = {variant.name: variant.mean for variant in summary.variants}
    places = {name: float(axes.transAxes.inverted().transform(axes.transData.transform((0, mean)))[1])
              for name, mean in means.items()}  # fmt: skip
    assert all(0 < place < 1 for place in places.values())
    assert abs(places["near_4"] - places["full"]) > 0.1
    assert abs(places["far"] - places["full"]) > 0.25


def test_names_neither_overlap_nor_do_their_lines_cross(tmp_path: Path) -> None:
    """Ten networks at two levels of accuracy, one of them with a name that takes two lines."""
    names = [*(f"network_{number}" for number in range(9)), "large_kernel_cnn@parameters"]
    rows = [Row(name, {"model.depth": 10 + number}, (-1) ** number * 0.001) for number, name in enumerate(names)]
    _, summary = summarized(Invented([Row("full"), *rows], spread=0), tmp_path)
    figure = styled(tradeoff)(summary, "parameters")
    assert figure is not None
    figure.draw_without_rendering()
    [axes] = figure.axes
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    assert {label.get_text().replace("\n", "") for label in labels} == {"full", *names}
    boxes = [Text.get_window_extent(label) for label in labels]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    points = [axes.transData.transform(label.xy) for label in labels]
    lines = [Path2D([point, (box.x0, (box.y0 + box.y1) / 2)]) for point, box in zip(points, boxes, strict=True)]
    assert not any(one.intersects_path(other) for one, other in combinations(lines, 2))


TWIN = Row("omega_0=3.0@parameters", {"model.omega_0": 3.0, "model.width": 2.0}, 0.01, twin_of="omega_0=3.0")


def swept(root: Path, key: str, values: list[float], *extra: Row) -> tuple[Summary, Axis | None]:
    short = key.rpartition(".")[2]
    rows = [Row(f"{short}={value}", {key: value}, -0.01, {key: value}) for value in values]
    results, summary = summarized(Invented([Row("full"), *rows, *extra]), root)
    return summary, numeric_axis(results.of(summary.question), "full")


def test_an_axis_has_every_variants_value_and_the_baselines(tmp_path: Path) -> None:
    _, axis = swept(tmp_path, "model.omega_0", [1.0, 3.0], TWIN)
    assert axis == Axis("model.omega_0", {"full": 2000.0, "omega_0=1.0": 1.0, "omega_0=3.0": 3.0})


def test_switches_are_no_axis(tmp_path: Path) -> None:
    _, axis = swept(tmp_path / "names", "model.gate", ["glu", "mixer"])  # type: ignore[list-item]
    assert axis is None
    results, summary = summarized(branches(), tmp_path / "branches")
    assert numeric_axis(results.of(summary.question), "full") is None


@pytest.mark.parametrize(
    ("key", "values", "scale"),
    [
        ("model.omega_0", [1.0, 30.0], "log"),
        ("model.depth", [1, 3], "linear"),
        ("objective.penalty", [0.0, 5e-7], "symlog"),
        ("objective.slow_loss_weight", [0.0, 2.0], "linear"),
    ],
)
def test_scale_follows_the_values(tmp_path: Path, key: str, values: list[float], scale: str) -> None:
    summary, axis = swept(tmp_path, key, values)
    assert axis is not None
    figure = along_axis(summary, axis)
    assert figure is not None
    [axes] = figure.axes
    assert axes.get_xscale() == scale
    assert axes.get_xlabel() == key
    assert [text.get_text() for text in axes.texts] == (["Nyquist rate (1.75)"] if "omega" in key else [])


def test_the_nyquist_rate_of_the_grid() -> None:
    """8 points in [-1, 1] are 2/7 apart; half a turn from one to the next is 7/2 half turns, 7/4 turns, a unit."""
    assert nyquist_omega_0("digits") == 1.75
    assert nyquist_omega_0("cifar10") == 7.75
    assert nyquist_omega_0("unknown data") is None


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("no_local", ["no_local"]),
        ("residual=true,previous=false", ["residual=true,", "previous=false"]),
        ("large_kernel_cnn@parameters", ["large_kernel_cnn", "@parameters"]),
        ("depth=3,width=2,slow_loss=off", ["depth=3,width=2,", "slow_loss=off"]),
        ("slow_network_residual=mixed,gate=glu", ["slow_network_residual=", "mixed,gate=glu"]),
        ("one long name, in words", ["one long name, in words"]),
        ("kernel_of_many_words_in_one_line", ["kernel_of_many_words_in_", "one_line"]),
        ("x" * 50, ["x" * 24, "x" * 24, "xx"]),
        ("costs $1, or $2", [r"costs \$1, or \$2"]),
        ("", [""]),
    ],
)
def test_a_name_goes_over_lines_and_stays_whole(name: str, lines: list[str]) -> None:
    assert wrapped(name).split("\n") == lines


@pytest.mark.parametrize("letters", [[4] * 7, [12] * 7, [30] * 7, [4, 14, 22, 16]])
def test_a_legend_stays_within_the_column(letters: list[int]) -> None:
    def draw() -> None:
        figure = new_figure(2.0)
        axes = figure.add_subplot()
        names = [f"{number}" * each for number, each in enumerate(letters)]
        legend_above(figure, {name: axes.plot([], [], "o")[0] for name in names})
        figure.draw_without_rendering()
        [legend] = figure.legends
        box = legend.get_window_extent()
        assert axes.get_window_extent().height > 1.2 * figure.dpi
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1

    styled(draw)()


def features_of(*pixels: int, blocks: int = 2) -> Features:
    random = np.random.default_rng(len(pixels))
    maps = tuple(random.normal(size=(12 + block, *pixels)) for block in range(blocks))
    kernels = tuple(random.normal(size=(3, *pixels)) for _ in range(blocks))
    spread = np.linspace(0.5, 1.0, blocks)
    return Features(np.ones((1, *pixels)), kernels, kernels, maps, np.zeros(blocks), spread, {})


@pytest.mark.parametrize("pixels", [(8, 8), (64,)], ids=["images", "sequences"])
@pytest.mark.usefixtures("quick_pdfs")
def test_kernels_and_maps_have_a_row_each(pixels: tuple[int, ...], tmp_path: Path) -> None:
    features = features_of(*pixels)
    kernels = hyper_kernels({"full": features, "off": features})
    assert kernels is not None
    assert [axes.get_ylabel() for axes in kernels.axes if axes.get_ylabel()] == ["block 1", "block 2"]
    titles = [text.get_text() for axes in kernels.axes for text in axes.texts]
    assert titles == ["full\nK", "K̂", "off\nK", "K̂"]
    maps = feature_maps(features)
    assert [axes.get_ylabel() for axes in maps.axes if axes.get_ylabel()] == ["image", "block 1", "block 2"]
    save(maps, tmp_path / "maps")


def test_no_kernels_no_figure() -> None:
    assert hyper_kernels({"none": replace(features_of(8, 8), kernels=(), hyper_kernels=())}) is None


def test_depth_shows_mean_and_spread() -> None:
    axes = features_by_depth({"full": features_of(8, 8, blocks=5)}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    assert axes.get_ylim()[0] < -0.9
    assert axes.get_ylim()[1] > 0.9


@pytest.mark.usefixtures("quick_pdfs")
def test_of_many_variants_those_farthest_away_are_drawn(tmp_path: Path) -> None:
    rows = [Row(f"v{i}", {"model.depth": i + 2}, points / 100) for i, points in enumerate((-1, -9, 3, 0.5, -4))]
    results, summary = summarized(
        Invented([Row("full"), *rows, Row("lost", OFF)], pending=[("lost", seed) for seed in (0, 1, 2)]), tmp_path
    )
    assert {variant.name for variant in summary.farthest(2).variants} == {"full", "v1", "v4"}
    by_name = {variant.name: place for place, variant in enumerate(summary.variants)}
    kept = [by_name[variant.name] for variant in summary.farthest(3).variants]
    assert kept == sorted(kept)  # in the table's order
    assert summary.farthest(6) == summary
    captions = [each.caption for each in draw_figures(results, summary, tmp_path / "some", "some", 2)]
    assert sum("The 2 of 6 variants that differ most; --most 0 draws all." in caption for caption in captions) == 5
