"""What a variant reaches against what it costs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.path import Path as Path2D
from matplotlib.text import Annotation, Text

from terminator import analysis
from terminator.analysis.figures.relations import tradeoff
from terminator.analysis.figures.style import styled
from terminator.analysis.summary import summarize
from tests.analysis.ledgers import Invented, Row


@pytest.mark.parametrize("effect", [-0.3, 0.3])
def test_a_variant_far_off_stands_at_the_edge_with_its_number(tmp_path: Path, effect: float) -> None:
    near = [Row(f"near_{number}", {"model.depth": number}, number / 1000) for number in range(1, 5)]
    Invented([Row("full"), *near, Row("far", {"model.depth": 9}, effect)], accuracy=0.6).write(tmp_path)
    results = analysis.load(tmp_path)
    figure = tradeoff(summarize(results, results.questions[0]), "parameters")
    assert figure is not None
    figure.draw_without_rendering()  # warns, which is an error, where the labels leave no room for the axes
    [axes] = figure.axes
    low, high = axes.get_ylim()
    [far] = [text for text in axes.texts if text.get_text().startswith("far")]
    assert far.get_text().startswith(("far (2", "far (3") if effect < 0 else ("far (8", "far (9"))
    assert far.xy[1] == (low if effect < 0 else high)
    assert high - low < 5


def test_names_neither_overlap_nor_do_their_lines_cross(tmp_path: Path) -> None:
    """Ten networks at two levels of accuracy, one of them with a name that takes two lines."""
    names = [*(f"network_{number}" for number in range(9)), "large_kernel_cnn@parameters"]
    rows = [Row(name, {"model.depth": 10 + number}, (-1) ** number * 0.001) for number, name in enumerate(names)]
    Invented([Row("full"), *rows], spread=0).write(tmp_path)
    results = analysis.load(tmp_path)
    figure = styled(tradeoff)(summarize(results, results.questions[0]), "parameters")
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
