"""The metric along one number, and over two crossed factors."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.figures.relations import along_axis, nyquist_omega_0
from terminator.analysis.summary import Axis, Summary, numeric_axis, summarize
from tests.analysis.ledgers import Invented, Row, branches

TWIN = Row("omega_0=3.0@parameters", {"model.omega_0": 3.0, "model.width": 2.0}, 0.01, twin_of="omega_0=3.0")


def swept(root: Path, key: str, values: list[float], *extra: Row) -> tuple[Summary, Axis | None]:
    short = key.rpartition(".")[2]
    rows = [Row(f"{short}={value}", {key: value}, -0.01, {key: value}) for value in values]
    Invented([Row("full"), *rows, *extra]).write(root)
    results = analysis.load(root)
    [question] = results.questions
    return summarize(results, question), numeric_axis(results.of(question), "full")


def test_an_axis_has_every_variants_value_and_the_baselines(tmp_path: Path) -> None:
    _, axis = swept(tmp_path, "model.omega_0", [1.0, 3.0], TWIN)
    assert axis == Axis("model.omega_0", {"full": 2000.0, "omega_0=1.0": 1.0, "omega_0=3.0": 3.0})


def test_switches_are_no_axis(tmp_path: Path) -> None:
    _, axis = swept(tmp_path / "words", "model.gate", ["glu", "mixer"])  # type: ignore[list-item]
    assert axis is None
    branches().write(tmp_path / "branches")
    results = analysis.load(tmp_path / "branches")
    assert numeric_axis(results.of(results.questions[0]), "full") is None


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
