from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from terminator.analysis.statistics.looks import judge, next_alpha, next_look, take_look
from terminator.analysis.statistics.tests import moments
from terminator.errors import UserError
from terminator.ledger import Decision, Look, LookPlan, Verdict

PLAN = LookPlan()
Values = Mapping[str, Mapping[int, float]]


def looks_at(plan: LookPlan, seeds: Sequence[int]) -> list[Look]:
    """Looks at these numbers of seeds; nothing is decided."""
    made: list[Look] = []
    for n in seeds:
        made.append(Look(len(made) + 1, tuple(range(n)), next_alpha(plan, made, n), n in plan.seeds))
    return made


def spent(plan: LookPlan, seeds: Sequence[int]) -> list[float]:
    """Their levels, in per cent."""
    return [100 * look.alpha for look in looks_at(plan, seeds)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": (3, 3, 8)}, r"ablation.looks=\[3, 3, 8\]: each look must have more seeds than the one before it"),
        ({"seeds": (2, 5)}, r"ablation.looks=\[2, 5\]: the first look takes 3 seeds or more"),
        ({"seeds": (1,)}, r"ablation.looks=\[1\]: the first look takes 3 seeds or more"),
        ({"seeds": ()}, r"ablation.looks=\[\]: the first look takes 3 seeds or more"),
        ({"shares": (0.5, 0.5)}, r"ablation.shares=\[0.5, 0.5\]: must be as many as the looks, 5"),
        ({"shares": (0.2, 0.2, 0.2, 0.2, 0.1)}, "must sum to 1, here 0.9"),
        ({"shares": (0.5, 0.6, -0.1, 0.0, 0.0)}, "each must be above 0"),
        ({"shares": (float("nan"), 0.25, 0.25, 0.25, 0.25)}, "each must be above 0"),
        ({"level": 0.0}, "level=0.0: must lie between 0 and 1"),
        ({"reserve": 1.0}, "ablation.reserve=1.0: must be 0 or more, and below 1"),
    ],
)
def test_a_plan_is_checked(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LookPlan(**wrong)


@pytest.mark.parametrize(
    ("plan", "seeds", "expected"),
    [
        # 4.5 % in shares of .10 .25 .25 .20 .20, then half of what is left of the reserve of 0.5 %, again and again.
        (PLAN, [*PLAN.seeds, 21, 40], [0.45, 1.125, 1.125, 0.9, 0.9, 0.25, 0.125]),
        # A fixed list of seeds is a plan of one look; typed anew with more, it spends the reserve.
        (LookPlan.fixed(5), [5, 6, 8], [4.5, 0.25, 0.125]),
        # Shares of looks that are passed over are lost; those between the plan's are of the reserve.
        (PLAN, [3, 12, 20], [0.45, 0.9, 0.9]),
        (PLAN, [3, 4, 5, 6], [0.45, 0.25, 1.125, 0.125]),
    ],
)
def test_what_looks_spend(plan: LookPlan, seeds: list[int], expected: list[float]) -> None:
    assert spent(plan, seeds) == pytest.approx(expected)


@pytest.mark.parametrize("reserve", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("seeds", [range(3, 40), range(3, 60, 7), [8, 5, 3, 30, 12, 20]])
def test_nobody_spends_more_than_the_level(reserve: float, seeds: Sequence[int]) -> None:
    for plan in (LookPlan(reserve=reserve), LookPlan.fixed(10, reserve)):
        levels = spent(plan, seeds)
        assert sum(levels) <= 5 + 1e-9
        assert min(levels) > 0 or reserve == 0


def test_another_plan_later_spends_no_more_than_is_left() -> None:
    made = looks_at(LookPlan.fixed(5), [5])
    assert next_alpha(LookPlan((5, 8), (0.5, 0.5)), made, 8) == pytest.approx(0.005)


def shifted(by: float, wiggle: float, seeds: int) -> dict[int, float]:
    """Differences of `by` on average, alternately `wiggle` more and less: a spread of wiggle · √(n / (n − 1))."""
    return {seed: by + wiggle * (-1) ** seed for seed in range(seeds)}


def test_a_look_by_hand() -> None:
    """Four seeds at 4.5 %: t = mean / (wiggle · √(4/3) / 2), three degrees of freedom, Holm over three variants."""
    values: Values = {
        "base": dict.fromkeys(range(4), 0.0),
        "worse": shifted(-1.0, 0.01, 4),
        "alike": shifted(0.0, 0.01, 4),
        "unclear": shifted(0.5, 0.4, 4),
    }
    look = take_look(LookPlan.fixed(4), [], range(4), values, "base", margin=0.5)
    assert (look.number, look.seeds, look.planned, look.undecided) == (1, (0, 1, 2, 3), True, ("unclear",))
    assert [each.verdict for each in look.decisions.values()] == [
        Verdict.worse,
        Verdict.equivalent,
        Verdict.undecided,
    ]
    error = 0.4 * sqrt(4 / 3) / 2
    p = 2 * stats.t.sf(0.5 / error, 3)
    unclear = look.decisions["unclear"]
    assert unclear.p_difference == pytest.approx(2 * p * 5 / 4.5)  # the second of three, at 4.5 of 5 %
    assert unclear.p_equivalence == 1
    assert unclear.interval is not None
    assert unclear.interval.level == pytest.approx(0.955)
    assert unclear.interval.bound == unclear.interval.high == pytest.approx(0.5 + stats.t.ppf(0.9775, 3) * error)
    assert look.decisions["alike"].p_equivalence == pytest.approx(3 * stats.t.cdf(-0.5 / error * 40, 3) * 5 / 4.5)


def test_lower_may_be_better() -> None:
    values: Values = {"base": dict.fromkeys(range(4), 0.0), "v": shifted(-1.0, 0.01, 4)}
    look = take_look(LookPlan.fixed(4), [], range(4), values, "base", higher_is_better=False)
    assert look.decisions["v"].verdict is Verdict.better


def table(seeds: int) -> dict[str, dict[int, float]]:
    return {
        "base": dict.fromkeys(range(seeds), 0.0),
        "clear": shifted(-1.0, 0.001, seeds),
        "later": shifted(-1.0, 0.15, seeds),
        "same": dict.fromkeys(range(seeds), 0.0),
    }


def test_from_look_to_look() -> None:
    first = take_look(PLAN, [], range(3), table(3), "base")
    assert first.undecided == ("later", "same")
    assert next_look(PLAN, [first], ["clear", "later", "same"]) == (2, 5, pytest.approx(0.01125), True, first.undecided)

    # What is decided stays so, whatever its later seeds would say.
    more = table(8) | {"clear": shifted(+1.0, 0.001, 8)}
    second = take_look(PLAN, [first], range(5), more, "base")
    third = take_look(PLAN, [first, second], range(8), more, "base")
    assert third.decisions["clear"] == first.decisions["clear"]
    later = third.decisions["later"]
    assert (later.verdict, later.look, len(later.seeds)) == (Verdict.worse, 2, 5)
    assert third.undecided == ("same",)

    # To see a look again spends nothing, and changes nothing.
    assert take_look(PLAN, [first, second, third], range(8), more, "base") is third
    assert take_look(LookPlan.fixed(5), [first, second, third], range(5), more, "base") is second
    assert sum(look.alpha for look in (first, second, third)) == pytest.approx(0.05 * 0.9 * 0.6)


def test_a_run_that_was_tried_again_makes_another_look() -> None:
    before = table(5)
    del before["later"][4]
    first = take_look(PLAN, [], range(5), before, "base")
    assert first.decisions["later"].seeds == (0, 1, 2, 3)
    again = take_look(PLAN, [first], range(5), table(5), "base")
    assert (again.number, again.planned) == (2, False)
    assert again.alpha == pytest.approx(0.0025)


def test_what_is_the_same_in_every_seed_waits_for_the_resolution() -> None:
    """With none, nothing can be said. With one of 0.1, t = 0.5 / (0.1 / √n) shows at some look that nothing matters."""
    values = {name: table(8)[name] for name in ("base", "same")}
    look = take_look(LookPlan.fixed(8), [], range(8), values, "base", margin=0.5)
    assert look.decisions["same"] == Decision(Verdict.undecided, 1, tuple(range(8)), 0.0)
    look = take_look(LookPlan.fixed(8), [], range(8), values, "base", margin=0.5, resolution=0.1)
    assert look.decisions["same"].verdict is Verdict.equivalent
    assert look.decisions["same"].p_equivalence == pytest.approx(stats.t.cdf(-5 * sqrt(8), 7) * 5 / 4.5)


def test_variants_without_a_test_count_in_the_family() -> None:
    values = table(4)
    alone = take_look(LookPlan.fixed(4), [], range(4), {name: values[name] for name in ("base", "later")}, "base")
    among = take_look(LookPlan.fixed(4), [], range(4), values | {"clear": {}}, "base")
    assert alone.decisions["later"].p_difference is not None
    assert among.decisions["later"].p_difference == pytest.approx(3 * alone.decisions["later"].p_difference)
    assert among.decisions["clear"] == Decision(Verdict.undecided, 1)


def test_fewer_than_three_seeds_test_and_spend_nothing() -> None:
    look = take_look(LookPlan.fixed(2), [], range(2), table(2), "base")
    assert (look.alpha, look.undecided) == (0.0, ("clear", "later", "same"))
    assert look.decisions["clear"].interval is None
    assert next_alpha(PLAN, [look]) == next_alpha(PLAN, [])


def test_the_end_of_a_plan_and_of_a_table() -> None:
    made = looks_at(PLAN, PLAN.seeds)
    assert next_look(PLAN, made, ["v"]) == (6, 32, pytest.approx(0.0025), False, ("v",))
    assert next_look(PLAN, made, ["v"], wanted=(5, 40)) == (6, 40, pytest.approx(0.0025), True, ("v",))
    done = replace(made[-1], decisions={"v": Decision(Verdict.better, 5)})
    assert next_look(PLAN, [*made[:-1], done], ["v"]) is None
    more = take_look(PLAN, [*made[:-1], done], range(30), {"base": {}, "v": {}}, "base")
    assert more.alpha == 0


def test_a_batch_of_tables_is_judged_as_each_one() -> None:
    random = np.random.default_rng(5)
    results = random.normal(0, 1, (40, 6, 8)) + 2.5 * np.arange(6)[:, None]
    results[random.random(results.shape) < 0.1] = np.nan
    codes = np.zeros((40, 5), dtype=np.int8)
    for n in (3, 5, 8):
        alpha = next_alpha(PLAN, looks_at(PLAN, [m for m in (3, 5, 8) if m < n]), n)
        codes = judge(moments(results[:, 1:, :n], results[:, :1, :n]), codes, alpha=alpha, margin=3.0).codes
    for rows, found in zip(results, codes, strict=True):
        values = {str(row): dict(enumerate(each)) for row, each in enumerate(rows.tolist())}
        made: list[Look] = []
        for n in (3, 5, 8):
            made.append(take_look(PLAN, made, range(n), values, "0", margin=3.0))
        verdicts = [each.verdict.value for each in made[-1].decisions.values()]
        assert verdicts == [("undecided", "equivalent", "better", "worse")[code] for code in found]
    assert set(codes.ravel().tolist()) == {0, 1, 2}


def test_a_look_survives_json_to_the_bit() -> None:
    look = take_look(PLAN, [], range(5), table(5), "base", margin=0.3)
    assert Look.from_json(json.loads(json.dumps(look.to_json(), allow_nan=False))) == look
