from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terminator import analysis
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.notes import advice, notes, standing
from terminator.ledger import LookPlan, Reason
from tests.analysis.ledgers import FOUR_IMAGES, LOOKS, Invented, Row, branches


def summary_of(invented: Invented, root: Path) -> Summary:
    invented.write(root)
    results = analysis.load(root)
    return summarize(results, results.questions[0])


def test_without_looks_a_table_is_one_look(tmp_path: Path) -> None:
    summary = summary_of(branches(2), tmp_path)
    said = ["Judged as one look at all seeds: the error rate holds if no other look was taken."]
    assert list(standing(summary)) == said
    assert said[0] in notes([summary])


@pytest.mark.parametrize("invented", [branches(2, seeds=[2]), replace(branches(2), rows=[Row("full")])])
def test_what_tests_nothing_is_no_look(invented: Invented, tmp_path: Path) -> None:
    assert list(standing(summary_of(invented, tmp_path))) == []


IMAGES = 100  # of ten classes


def right(**counts: list[int]) -> Invented:
    """Variants that get so many of the test images right at seeds 0, 1, …"""
    rows = [Row(name, {"optimizer.lr": 0.1 + number}) for number, name in enumerate(counts)]
    images = {
        (name, seed): [int((image + 7 * seed) % IMAGES < count) for image in range(IMAGES)]
        for name, each in counts.items()
        for seed, count in enumerate(each)
    }
    return Invented(rows, seeds=range(3), right=images)


def test_variants_that_collapsed_are_told_apart(tmp_path: Path) -> None:
    summary = summary_of(right(full=[96, 98, 97], fell=[10, 10, 10], once=[95, 11, 96], fine=[95, 96, 98]), tmp_path)
    said = list(notes([summary]))
    assert "fell: collapsed in all seeds: no better than guesses." in said
    assert "once: collapsed in 1 of 3 seeds (1): no better than guesses." in said
    assert not any(note.startswith("fine") for note in said)
    noise = said[-3]
    assert re.fullmatch(r"Other test images, .*; without 1 variant that collapsed\.", noise)
    others = summary_of(right(full=[96, 98, 97], once=[95, 11, 96], fine=[95, 96, 98]), tmp_path / "others")
    assert summary.test_noise == others.test_noise


def test_collapsed_alike_is_not_called_a_change_that_does_not_reach_the_model(tmp_path: Path) -> None:
    summary = summary_of(right(full=[10, 10, 10], fell=[10, 10, 10]), tmp_path)
    said = [note for note in notes([summary]) if "full" in note or "fell" in note][1:]
    assert said == [f"{name}: collapsed in all seeds: no better than guesses." for name in ("full", "fell")]
    assert not any("Other test images" in note for note in notes([summary]))


def test_before_the_first_look_nothing_is_tested(tmp_path: Path) -> None:
    summary = summary_of(replace(LOOKS, looked=()), tmp_path)
    assert list(standing(summary)) == ["No look yet: the first takes 3 seeds; until then nothing is tested."]
    assert "Difference: from full, paired by seed; nothing is tested yet." in notes([summary])
    assert summary.headline == ""


@pytest.mark.parametrize(
    ("changes", "looked", "to_come"),
    [
        # Three more seeds of the baseline and of the one row that is undecided.
        (
            {},
            "Look 2 of 5 planned: 5 seeds, α = 1.1 %.",
            "Next look: 8 seeds, 6 more runs, {}; the same command runs it.",
        ),
        (
            {"failed": {("no_gated", 4): (Reason.timeout, ""), ("no_local", 4): (Reason.timeout, "")}},
            "Look 2 of 5 planned: 5 seeds, α = 1.1 %.",
            "Next look: 8 seeds, 7 more runs, {}; the same command runs it.",
        ),
        (
            {"looks": LookPlan((3, 5), (0.2, 0.8))},
            "Look 2 of 2 planned: 5 seeds, α = 3.6 %.",
            "Next look: 8 seeds, 6 more runs, {}; ablation.looks=[8] runs it, from the reserve.",
        ),
        (
            {"looks": LookPlan.fixed(3)},
            "Look 2, beyond the plan of 1: 5 seeds, α = 0.25 %.",
            "Next look: 8 seeds, 6 more runs, {}; ablation.looks=[8] runs it, from the reserve.",
        ),
    ],
)
def test_a_table_names_its_look_and_the_next(
    changes: dict[str, Any], looked: str, to_come: str, tmp_path: Path
) -> None:
    summary = summary_of(replace(LOOKS, **changes), tmp_path)
    (said,), (typed_next,) = standing(summary), advice([summary])
    assert said == looked
    assert re.sub("about 1[12] s each", "{}", typed_next) == to_come


def test_where_all_rows_are_decided_there_is_no_next_look(tmp_path: Path) -> None:
    summary = summary_of(replace(LOOKS, rows=LOOKS.rows[:2], looked=[3]), tmp_path)
    assert list(standing(summary)) == ["Look 1 of 5 planned: 3 seeds, α = 0.45 %."]
    assert list(advice([summary])) == []


def test_by_another_metric_a_table_is_one_look(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    results = analysis.load(tmp_path)
    (said,) = standing(summarize(results, results.questions[0], "test_loss"))
    assert said.startswith("Judged as one look at all seeds")


def test_of_several_ablations_each_has_its_own_look(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    branches(2, name="gating").write(tmp_path)
    results = analysis.load(tmp_path)
    said = list(notes([summarize(results, question) for question in results.questions]))
    assert "branches: Look 2 of 5 planned: 5 seeds, α = 1.1 %." in said
    assert any(note.startswith("gating: Judged as one look") for note in said)


def test_the_noise_of_the_test_set_stands_beside_the_spread(tmp_path: Path) -> None:
    """As in test_margins, 100 · √(35 / 48 / 4) = 42.7 points; two seeds have no typical spread."""
    assert list(standing(summary_of(FOUR_IMAGES, tmp_path / "two"))) == [
        "Other test images, as many (4), would move a difference by about 43 points (standard error, in no interval)."
    ]
    alike = {(name, seed): (1, 1, 1, 0) for name in ("full", "no_local") for seed in (2, 3, 4)}
    more = replace(FOUR_IMAGES, right={**FOUR_IMAGES.right, **alike}, seeds=range(5))
    # Differences 0, −25, 0, 0, 0: a spread of √125, over its median, √(3.357 / 4) of the true one.
    (_, said) = standing(summary_of(more, tmp_path / "five"))
    assert said.endswith("in no interval); one seed's differences have a spread of 12 points.")


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
