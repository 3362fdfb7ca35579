from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from terminator.analysis.statistics.factorial import Cell, effects
from terminator.errors import UserError

FACTORS = ("gate", "loss")


def test_two_by_two_by_hand() -> None:
    cells: dict[Cell, dict[int, float]] = {
        ("rgu", "off"): {0: 1.0, 1: 2.0},
        ("rgu", "tile"): {0: 3.0, 1: 5.0},
        ("glu", "off"): {0: 2.0, 1: 2.0},
        ("glu", "tile"): {0: 8.0, 1: 9.0},
    }
    gate, loss, both = effects(cells, FACTORS, ("rgu", "off"))
    # Seed 0: gate (2 + 8 − 1 − 3) / 2, loss (3 + 8 − 1 − 2) / 2, interaction (8 − 2) − (3 − 1).
    assert gate.levels == ("glu",)
    assert gate.pairs.differences.tolist() == [3.0, 2.0]
    assert loss.pairs.differences.tolist() == [4.0, 5.0]
    assert both.factors == FACTORS
    assert both.pairs.differences.tolist() == [4.0, 4.0]
    assert both.pairs.constant
    assert both.p is None


def test_agrees_with_repeated_measures_analysis_of_variance() -> None:
    """For factors of two levels, F is the square of our t."""
    random = np.random.default_rng(3)
    rows: list[dict[str, Any]] = [
        {"seed": seed, "gate": gate, "loss": loss, "y": random.normal() + (gate == "glu") + (loss == "tile")}
        for seed in range(8)
        for gate in ("rgu", "glu")
        for loss in ("off", "tile")
    ]
    cells: dict[Cell, dict[int, float]] = {}
    for row in rows:
        cells.setdefault((row["gate"], row["loss"]), {})[row["seed"]] = row["y"]
    from statsmodels.stats.anova import AnovaRM  # a second to import

    published = AnovaRM(pd.DataFrame(rows), "y", "seed", within=["gate", "loss"]).fit().anova_table["F Value"]
    for effect, f_value in zip(effects(cells, FACTORS, ("rgu", "off")), published, strict=True):
        t = effect.pairs.mean / effect.pairs.spread * np.sqrt(8)
        assert t**2 == pytest.approx(f_value)


def test_every_level_is_held_to_the_reference() -> None:
    crossing = [(size, gate) for size in "abc" for gate in "xy"]
    cells: dict[Cell, dict[int, float]] = {cell: {0: float(i), 1: float(i) ** 2} for i, cell in enumerate(crossing)}
    found = [effect.levels for effect in effects(cells, ("size", "gate"), ("b", "x"))]
    assert found == [("a",), ("c",), ("y",), ("a", "y"), ("c", "y")]


def test_a_design_with_a_hole_is_refused() -> None:
    cells: dict[Cell, dict[int, float]] = {("rgu", "off"): {0: 1.0}, ("glu", "tile"): {0: 1.0}}
    with pytest.raises(UserError, match="without results for rgu, tile"):
        effects(cells, FACTORS, ("rgu", "off"))


def test_seeds_must_have_every_cell() -> None:
    cells: dict[Cell, dict[int, float]] = {("rgu",): {0: 1.0}, ("glu",): {1: 1.0}}
    with pytest.raises(UserError, match="no seed has a result in every cell"):
        effects(cells, ("gate",), ("rgu",))
