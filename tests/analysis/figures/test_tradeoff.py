"""What a variant reaches against what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

import analysis
from analysis.figures.tradeoff import tradeoff
from analysis.summary import summarize
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
