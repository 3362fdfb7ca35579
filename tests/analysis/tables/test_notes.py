from __future__ import annotations

import re
from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.statistics.power import difference_power
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.ablation import ablation_table
from terminator.analysis.tables.notes import detectable_effect, notes
from tests.analysis.ledgers import Invented, Row, branches


def summary_of(invented: Invented, root: Path) -> Summary:
    invented.write(root)
    results = analysis.load(root)
    return summarize(results, results.questions[0])


def test_a_table_that_decides_little_says_what_its_seeds_can_show(tmp_path: Path) -> None:
    summary = summary_of(branches(8, spread=0.02), tmp_path)
    said = detectable_effect(summary)
    assert said in ablation_table([summary]).notes
    found = re.fullmatch(
        r"3 seeds can show differences from about (\S+) points on here, 5 seeds differences from about (\S+) points on "
        r"\(power 0.8\); seed=0,1,2,3,4 runs what is missing\.",
        said,
    )
    assert found is not None
    spread = median_spread(variant.comparison.pairs for variant in summary.variants if variant.comparison)
    assert spread is not None
    for seeds, least in zip((3, 5), map(float, found.groups()), strict=True):
        assert difference_power(seeds, least, spread, 0.05 / 8) == pytest.approx(0.8, abs=0.05)


def test_a_table_that_decides_most_says_nothing(tmp_path: Path) -> None:
    clear = [Row("full"), *(Row(f"no_{depth}", {"model.depth": depth}, -0.1 * depth) for depth in (1, 2, 3))]
    assert detectable_effect(summary_of(Invented(clear, seeds=range(5)), tmp_path)) == ""


def test_one_seed_shows_nothing(tmp_path: Path) -> None:
    summary = summary_of(branches(3, seeds=[2]), tmp_path)
    assert detectable_effect(summary) == "One seed can show no difference; seed=0,1,2,3,4 runs what is missing."


def test_no_accuracy_differs_by_more_than_all(tmp_path: Path) -> None:
    said = detectable_effect(summary_of(branches(8, seeds=[0, 1], spread=0.02), tmp_path))
    assert said.startswith("2 seeds can show no difference here, 5 seeds differences from about ")


def test_without_results_there_is_nothing_to_decide(tmp_path: Path) -> None:
    pending = [(row.name, seed) for row in branches(1).rows for seed in (0, 1, 2)]
    assert detectable_effect(summary_of(branches(1, pending=pending), tmp_path)) == ""


TWIN = {"model.gate": "mixer", "model.width": 2.0}


def test_a_twin_that_misses_its_budget_is_no_control(tmp_path: Path) -> None:
    """The invented runs have 100,000 parameters, 109,000 and 118,000."""
    rows = [
        Row("full"),
        Row("plain", {"model.gate": "mixer"}),
        Row("plain@parameters", TWIN, twin_of="plain"),
    ]
    Invented(rows).write(tmp_path)
    results = analysis.load(tmp_path)
    said = [note for note in notes([summarize(results, results.questions[0])]) if "misses" in note]
    assert said == ["plain@parameters misses the parameters of full by +18 %: it is no control of equal size."]
