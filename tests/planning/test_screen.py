"""Screening designs: what they tell apart, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from terminator.errors import UserError
from terminator.ledger import Ablation
from terminator.planning.ablation import AblationConfig, Match, variants
from terminator.planning.plan import Plan
from terminator.planning.screen import cells, describe_screen

SIZES = {2: 4, 3: 8, 4: 8, 5: 16, 6: 16, 7: 16, 8: 16, **dict.fromkeys(range(9, 17), 32)}
SUMS = {4: 3, 6: 7, 8: 7, 9: 21, 16: 15}  # of interactions; Montgomery 2017, table 8.14
FOLDED = {4: 6, 6: 12, 8: 14, 9: 28, 16: 30}


@pytest.mark.parametrize(
    ("switches", "folded"), [*((each, False) for each in SIZES), *((each, True) for each in FOLDED)]
)
def test_main_effects_are_clear_of_each_other_and_of_pairs(switches: int, folded: bool) -> None:
    names = [f"s{number}" for number in range(switches)]
    off = np.array(cells(names, "s0" if folded else None))
    signs = np.where(off, -1, 1)
    assert len(np.unique(off, axis=0)) == len(off) == SIZES[switches] * (2 if folded else 1)
    assert not off[0].any()  # the baseline
    main = np.column_stack([np.ones(len(off), dtype=int), signs])
    pairs = np.array([signs[:, one] * signs[:, other] for one, other in combinations(range(switches), 2)])
    assert np.array_equal(main.T @ main, len(off) * np.eye(switches + 1))
    assert not (pairs @ main).any()
    sums = np.unique(pairs, axis=0)
    assert len(sums) == (FOLDED[switches] if folded else SUMS.get(switches, len(sums)))
    if folded:  # every pair with the switch that was folded on stands alone
        assert all((pairs == pair).all(axis=1).sum() == 1 for pair in pairs[: switches - 1])


def test_cells_are_named_as_other_generators_name_them() -> None:
    screen = {"m.a": False, "m.b": "none", "m.c": 0}
    found = variants(AblationConfig(screen=screen), "some")
    assert {each.name for each in found} == {
        "full", "no_a", "no_b", "no_c", "only_a", "only_b", "only_c", "none",
    }  # fmt: skip
    assert found[0].name == "full"
    only_a = next(each for each in found if each.name == "only_a")
    assert only_a.overrides == {"m.b": "none", "m.c": 0}
    assert only_a.factors == {"m.a": "on", "m.b": "off", "m.c": "off"}


def _switches(count: int) -> dict[str, bool]:
    return {f"m.s{number}": False for number in range(count)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"screen": {"m.a": False, "m.b": [3, 5]}}, "ablation.screen.m.b=[3,5]: must be the one value that switches"),
        ({"screen": _switches(1)}, "ablation.screen: must be 2 to 16 switches, here 1: s0"),
        ({"screen": _switches(17)}, "ablation.screen: must be 2 to 16 switches, here 17: s0, s1"),
        ({"screen": _switches(4), "looks": [3, 5]}, "ablation.looks=[3, 5]: a screen is one look at a fixed list of"),
        (
            {"screen": _switches(4), "match": Match.parameters},
            "ablation.match=parameters: a screen has no size-matched",
        ),
        ({"screen": _switches(4), "tune": "m.x", "tune_values": [1, 2]}, "ablation.tune=m.x: a screen is not tuned"),
        ({"screen": _switches(4), "grid": {"m.a": [1]}}, "ablation.grid: cannot be combined with ablation.screen"),
        ({"screen": _switches(4), "variants": {"a": {}}}, "ablation.variants: cannot be combined with ablation.screen"),
        ({"screen": _switches(4), "fold": "s9"}, "ablation.fold=s9: no such switch; choose from s0, s1, s2, s3"),
        ({"screen": _switches(5), "fold": "s1"}, "ablation.fold=s1: a screen of 5 switches has no aliased"),
        ({"fold": "s1"}, "ablation.fold=s1: only of a screen"),
    ],
)
def test_what_is_no_screen_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        AblationConfig(**fields)


def test_the_plan_says_what_a_screen_tells_apart() -> None:
    found = variants(AblationConfig(screen=_switches(8)), "some")
    ablation = Ablation("some", "", "full", "test_accuracy", True, 0.005, [0], found)
    assert ablation.is_screen
    assert not replace(ablation, variants=variants(AblationConfig(leave_one_out=_switches(8)), "some")).is_screen
    assert describe_screen(ablation) == (
        "Screen: 16 of the 256 combinations of 8 switches; they tell all main effects apart, and 7 sums of the 28 "
        "interactions of two, which ablation.fold=… separates further."
    )
    assert AblationConfig(screen=_switches(8)).fixed_seeds == [0, 1, 2, 3, 4]
    folded = variants(AblationConfig(screen=_switches(8), fold="s1"), "some")
    assert folded[: len(found)] == found  # whose runs it shares
    assert len(folded) == 32
    assert describe_screen(replace(ablation, variants=folded)).endswith("and 14 sums of the 28 interactions of two.")


def test_a_switch_that_is_off_already_is_refused(plan: Callable[..., Plan]) -> None:
    message = "ablation=screen_branches: ablation.screen.model.branches.local=false: is what the baseline has"
    with pytest.raises(UserError, match=re.escape(message)):
        plan("screen_branches", "model.branches.local=false")
