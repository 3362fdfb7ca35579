"""A screen, from invented runs to its table, figure and JSON; the statistics against values worked out otherwise."""

from __future__ import annotations

from csv import DictReader
from dataclasses import replace
from io import StringIO
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from terminator.analysis import load
from terminator.analysis.factors import Crossing
from terminator.analysis.figures.forest import leave_one_out, screen_figure
from terminator.analysis.measured import Measured, main_effects
from terminator.analysis.methods import methods
from terminator.analysis.metrics import metric
from terminator.analysis.report import record
from terminator.analysis.statistics.factorial import Cell, effects, shapley
from terminator.analysis.summary import summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.latex import latex
from terminator.analysis.tables.render import comma_separated
from terminator.errors import UserError
from terminator.ledger import LookPlan
from terminator.planning.screen import cell_name, cells
from tests.analysis.ledgers import Invented, Row, branches, summarized

PARTS = ("gated", "local", "previous", "si_glu")
EFFECTS = dict(zip(PARTS, (-0.02, -0.05, 0.0, -0.01), strict=True))
FIXED = {"seeds": range(5), "looks": LookPlan.fixed(5), "looked": (5,)}


def _screen(**changes: object) -> Invented:
    rows = []
    for cell in cells(PARTS):
        off = [part for part, is_off in zip(PARTS, cell, strict=True) if is_off]
        levels = {f"model.branches.{part}": "off" if part in off else "on" for part in PARTS}
        overrides = {f"model.branches.{part}": False for part in off}
        rows.append(Row(cell_name(PARTS, cell, "full"), overrides, sum(EFFECTS[part] for part in off), levels))
    return replace(Invented(rows, name="screen"), **{**FIXED, **changes})


def test_main_effects_are_judged_and_cells_are_not(tmp_path: Path) -> None:
    branches(seeds=range(5)).write(tmp_path)
    _screen(created=1_790_000_001.0).write(tmp_path)
    results = load(tmp_path, "screen")
    summary = summarize(results, results.questions[0])
    assert summary.headline == "3 of 4 parts help, 1 makes no difference of 0.5 points"
    main, table, *_ = build_tables([summary])
    assert [row[3].text for row in main.sections[0].rows] == ["baseline", *["–"] * 7]
    assert not any(row[1].best or row[1].tied for row in main.sections[0].rows)
    rows = {row[0].text: row for section in table.sections for row in section.rows}
    assert [name for name in rows if "×" in name] == [
        "gated×local = previous×si_glu", "gated×previous = local×si_glu", "gated×si_glu = local×previous",
    ]  # fmt: skip
    assert [rows[part][-1].text for part in PARTS] == ["part helps", "part helps", "no effect", "part helps"]
    found = [rows[part][1].data["effect_mean"] for part in PARTS]
    assert found == pytest.approx([100 * effect for effect in EFFECTS.values()], abs=0.2)
    assert sum(found) == pytest.approx(rows["all of them"][1].data["effect_mean"])
    assert sum(float(rows[part][2].data["share_percent_mean"] or 0) for part in PARTS) == pytest.approx(100)
    assert latex(table).count("tabularnewline") == 3 + 5 + 1 + 3
    plain = record(summary)
    assert (plain["decided"], [each["verdict"] for each in plain["variants"][1:]]) == (4, [None] * 7)
    assert [(each["name"], each["verdict"]) for each in plain["effects"]][1] == ("local", "worse")
    assert "8 of the 16 combinations of 4 parts" in methods(results, summary)
    other = leave_one_out(results, summary)
    assert other is not None
    figure = screen_figure(summary, other)
    assert figure is not None
    drawn = figure.axes[0].lines[1:]  # behind the line at zero
    assert len(drawn) == 2 * 2 * len(PARTS)
    intervals = [tuple(line.get_xdata()) for line in drawn[::2]]
    in_table = [rows[part][1].data for part in PARTS]
    assert intervals[: len(PARTS)] == [(each["effect_low"], each["effect_high"]) for each in in_table]
    alone = [row.comparison.interval for part in PARTS for row in other.variants if row.name == f"no_{part}"]
    assert intervals[len(PARTS) :] == [(each.low, each.high) for each in alone]
    assert figure.get_supxlabel().endswith("mean and t interval [95\u00a0%], each effect by itself")


def test_every_row_of_a_screens_csv_says_whose_it_is(tmp_path: Path) -> None:
    _, summary = summarized(_screen(typed=["training.epochs=2"]), tmp_path)
    table = build_tables([summary])[1]
    rows = list(DictReader(StringIO(comma_separated(table))))
    assert [row["effect"] for row in rows[3:5]] == ["si_glu", "total"]
    whose = {(row["ablation"], row["dataset"], row["settings"], row["seeds"]) for row in rows}
    assert whose == {("screen", "digits", "training.epochs=2", "5")}


@pytest.mark.parametrize(
    ("pending", "why"),
    [
        ([("none", seed) for seed in range(5)], "1 cell of 8 without a result: none"),
        ([("none", 0), ("none", 1), ("full", 2), ("full", 3), ("full", 4)], "no seed has a result in every cell"),
    ],
)
def test_a_half_finished_screen_says_what_is_missing(tmp_path: Path, pending: list[tuple[str, int]], why: str) -> None:
    _, summary = summarized(_screen(pending=pending, looked=()), tmp_path)
    table, *others = build_tables([summary])
    assert f"No main effects: {why}." in table.notes
    assert any(note.startswith("Missing: ") and "none" in note for note in table.notes)
    assert [each.label for each in others] == ["screen-costs"]
    assert record(summary)["why_no_effects"] == why


def _fraction(values: dict[tuple[bool, ...], list[float]]) -> dict[Cell, dict[int, float]]:
    return {tuple("off" if off else "on" for off in cell): dict(enumerate(of)) for cell, of in values.items()}


def test_shares_are_the_shapley_values_of_the_fitted_model() -> None:
    """Against all orders in which parts can be taken away, pairs' interactions split equally among an aliased sum."""
    random = np.random.default_rng(5)
    design = cells(PARTS)
    fraction = _fraction({cell: random.normal(90, 3, 4).tolist() for cell in design})
    found = effects(fraction, PARTS, ("on",) * 4)
    main, pairs = found[:4], found[4:]
    assert [len(each.aliases) for each in found] == [0] * 4 + [1] * 3
    of = {each.factors[0]: each.pairs.mean / 2 for each in main}  # on is −1, off is +1
    of_pairs = {
        both: each.pairs.mean / 4 / (1 + len(each.aliases)) for each in pairs for both in (each.factors, *each.aliases)
    }
    assert len(of_pairs) == 6

    def model(off: set[str]) -> float:
        sign = {part: 1 if part in off else -1 for part in PARTS}
        both = sum(each * sign[one] * sign[other] for (one, other), each in of_pairs.items())
        return sum(each * sign[part] for part, each in of.items()) + both

    orders = list(permutations(PARTS))
    expected = dict.fromkeys(PARTS, 0.0)
    for order in orders:
        for at, part in enumerate(order):
            expected[part] += (model({*order[: at + 1]}) - model({*order[:at]})) / len(orders)
    shares = shapley([each.pairs for each in main])
    total = model(set(PARTS)) - model(set())
    assert shares.total.mean == pytest.approx(total)
    none, full = fraction[("off",) * 4], fraction[("on",) * 4]
    assert total == pytest.approx(np.mean(list(none.values())) - np.mean(list(full.values())))
    assert [each.pairs.mean for each in main] == pytest.approx(list(expected.values()))


def test_effects_of_a_fraction_are_those_of_a_linear_model() -> None:
    random = np.random.default_rng(6)
    parts = tuple(f"s{number}" for number in range(6))
    design = cells(parts)
    values = random.normal(90, 3, len(design))
    found = effects(_fraction({cell: [each] for cell, each in zip(design, values, strict=True)}), parts, ("on",) * 6)
    signs = np.where(design, 1.0, -1.0)
    sums = {each.factors: np.prod(signs[:, [parts.index(part) for part in each.factors]], axis=1) for each in found}
    fitted, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(design)), *sums.values()]), values)
    expected = [coefficient * 2 ** len(factors) for coefficient, factors in zip(fitted[1:], sums, strict=True)]
    assert [each.pairs.mean for each in found] == pytest.approx(expected)


def test_an_irregular_fraction_has_no_effects() -> None:
    design = list(product((False, True), repeat=3))[:-1]
    with pytest.raises(UserError, match="not a full crossing, without results for off, off, off"):
        effects(_fraction({cell: [1.0, 2.0] for cell in design}), ("a", "b", "c"), ("on",) * 3)


def test_cells_that_collapse_are_judged_by_their_logits() -> None:
    """Two strong parts that act independently leave an effect in points with a third, by its aliasing with them."""
    odds = {"gated": -2.0, "local": -2.5, "previous": -1.5, "si_glu": 0.0}
    values = {}
    for cell in cells(PARTS):
        logit = 3.0 + sum(odds[part] for part, off in zip(PARTS, cell, strict=True) if off)
        values[cell_name(PARTS, cell, "full")] = {seed: 100 / (1 + np.exp(-logit)) for seed in range(3)}
    crossed = Crossing(
        PARTS,
        {tuple("off" if off else "on" for off in cell): cell_name(PARTS, cell, "full") for cell in cells(PARTS)},
        ("on",) * 4,
    )
    found = Measured(values, metric("test_accuracy"), True, 0.5, 10**6, 0.0)
    judged = main_effects(found, crossed, "full")
    assert judged.metric.unit == "logits"
    assert [judged.values[part][0] for part in PARTS] == pytest.approx(list(odds.values()), abs=1e-3)
    in_points = {
        each.factors[0]: each.pairs.mean
        for each in effects({cell: values[name] for cell, name in crossed.cells.items()}, PARTS, ("on",) * 4)[:4]
    }
    assert abs(in_points["si_glu"]) > 1  # though it has no effect anywhere
    assert judged.smallest_effect == pytest.approx(0.5 / (100 * 0.9526 * 0.0474), rel=0.1)
