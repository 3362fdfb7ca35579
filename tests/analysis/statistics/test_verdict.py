from __future__ import annotations

import pytest

from terminator.analysis.statistics.looks import take_look
from terminator.analysis.statistics.verdict import Comparison, best_and_tied, compare, headline
from terminator.ledger import LookPlan, Verdict

SEEDS = range(6)
BASELINE = {seed: 0.95 + 0.001 * seed for seed in SEEDS}
IDENTICAL = "identical in all 6 seeds, as it is when a change does not reach the model"
WIGGLE = [0.0010, -0.0010, 0.0005, -0.0005, 0.0002, -0.0002]


def shifted(by: float, wiggle: float = 1.0) -> dict[int, float]:
    """The baseline moved by `by` on average, with a spread of the differences of about 0.0007 · wiggle."""
    return {seed: BASELINE[seed] + by + wiggle * WIGGLE[seed] for seed in SEEDS}


def only(variant: dict[int, float], *, higher_is_better: bool = True) -> Comparison:
    return compare(BASELINE, {"v": variant}, smallest_effect=0.005, higher_is_better=higher_is_better)["v"]


def test_verdicts() -> None:
    assert only(shifted(0.02)).judgement.verdict is Verdict.better
    assert only(shifted(-0.02)).judgement.verdict is Verdict.worse
    assert only(shifted(-0.02), higher_is_better=False).judgement.verdict is Verdict.better
    assert only(shifted(0.0)).judgement.verdict is Verdict.equivalent


def test_a_real_difference_too_small_to_matter() -> None:
    judgement = only(shifted(0.002)).judgement
    assert judgement.verdict is Verdict.equivalent
    assert judgement.note == "a real difference, too small to matter"


@pytest.mark.parametrize(
    ("variant", "note"),
    [
        ({0: 0.9}, "one seed has no spread"),
        ({7: 0.9}, "no seed that both have"),
        (
            dict(BASELINE),
            "identical in all 6 seeds, as it is when a change does not reach the model; no spread to judge by",
        ),
        ({s: v - 0.01 for s, v in BASELINE.items()}, "the same difference in all 6 seeds; no spread to judge by"),
    ],
)
def test_no_verdict_without_spread(variant: dict[int, float], note: str) -> None:
    comparison = only(variant)
    assert comparison.judgement.verdict is Verdict.undecided
    assert comparison.judgement.note == note
    assert comparison.interval is None
    assert comparison.p_difference is None


def test_many_variants_make_each_harder_to_show() -> None:
    """One of two with p near 0.03 alone is shown; with another beside it that shows nothing, it is not."""
    weak = {s: BASELINE[s] + d for s, d in zip(SEEDS, [0.01, 0.02, 0.001, 0.015, 0.02, -0.001], strict=True)}
    alone = compare(BASELINE, {"weak": weak}, smallest_effect=0.001)["weak"]
    assert alone.p_raw == alone.p_difference
    assert alone.judgement.verdict is Verdict.better
    among = compare(BASELINE, {"weak": weak, "other": shifted(0.0001)}, smallest_effect=0.001)["weak"]
    assert alone.p_raw is not None
    assert among.p_difference == pytest.approx(2 * alone.p_raw)
    assert among.judgement.verdict is Verdict.undecided


def test_two_seeds_decide_nothing() -> None:
    found = compare({0: 0.1, 1: 0.1}, {"v": {0: 0.9, 1: 0.91}})["v"]
    assert (found.interval, found.p_difference) == (None, None)
    assert found.judgement.note == "two seeds decide nothing: a verdict takes three"


def test_an_undecided_row_says_how_much_it_can_be() -> None:
    comparison = only(shifted(-0.006, wiggle=20))
    assert comparison.interval is not None
    assert comparison.judgement.bound == -comparison.interval.low


def test_identical_results_have_no_effect_once_the_resolution_says_so() -> None:
    judgement = compare(BASELINE, {"v": BASELINE}, smallest_effect=0.01, resolution=0.001)["v"].judgement
    assert judgement.verdict is Verdict.equivalent
    assert judgement.note == IDENTICAL


def test_the_same_difference_in_all_seeds_is_decided_at_a_later_look() -> None:
    """Half a margin below the baseline, and a step of nearly as much: three seeds are too few, six are enough."""
    lower = {seed: value - 0.005 for seed, value in BASELINE.items()}
    rule = {"smallest_effect": 0.01, "resolution": 0.004}
    three = [{seed: each[seed] for seed in list(BASELINE)[:3]} for each in (BASELINE, lower)]
    early = compare(three[0], {"v": three[1]}, **rule)["v"].judgement
    assert (early.verdict, early.note) == (
        Verdict.undecided, "the same difference in all 3 seeds; more seeds can decide",
    )  # fmt: skip
    late = compare(BASELINE, {"v": lower}, **rule)["v"].judgement
    assert (late.verdict, late.note) == (Verdict.equivalent, "the same difference in all 6 seeds")


def test_a_row_stands_at_the_look_that_decided_it() -> None:
    plan = LookPlan((3, 6), (0.5, 0.5))
    values = {"base": BASELINE, "clear": shifted(-0.3, wiggle=0.01), "unclear": shifted(0.002, wiggle=5)}
    looks = []
    for seeds in (range(3), SEEDS):
        looks.append(take_look(plan, looks, seeds, values, "base", margin=0.005))
    found = compare(BASELINE, {name: values[name] for name in ("clear", "unclear")}, smallest_effect=0.005, looks=looks)
    assert (found["clear"].judgement.verdict, found["clear"].pairs.seeds) == (Verdict.worse, (0, 1, 2))
    assert (found["unclear"].judgement.verdict, found["unclear"].pairs.n) == (Verdict.undecided, 6)
    assert found["clear"].p_difference == looks[0].decisions["clear"].p_difference
    assert found["unclear"].interval == looks[1].decisions["unclear"].interval
    assert found["clear"].pairs.unpaired == ()


def best(values: dict[str, dict[int, float]], *, higher_is_better: bool = True) -> tuple[str | None, set[str]]:
    others = {name: each for name, each in values.items() if name != "base"}
    compared = compare(values["base"], others, smallest_effect=0.005, higher_is_better=higher_is_better)
    return best_and_tied(values, compared, higher_is_better=higher_is_better)


def test_the_best_and_those_like_it() -> None:
    values = {
        "base": BASELINE,
        "worse": shifted(-0.02),
        "alike": shifted(0.0001),
        "unclear": shifted(-0.006, wiggle=20),
    }
    assert best(values) == ("alike", {"base", "unclear"})
    values["better"] = shifted(0.03)
    assert best(values) == ("better", set())
    assert best(values, higher_is_better=False) == ("worse", {"unclear"})
    assert best({"base": BASELINE, "lost": {}}) == (None, set())


def test_the_best_has_all_seeds_of_its_look() -> None:
    lucky = {seed: value for seed, value in shifted(0.03).items() if seed < 3}
    assert best({"base": BASELINE, "lucky": lucky, "alike": shifted(0.0001)})[0] == "alike"


def test_what_is_called_worse_is_never_tied() -> None:
    """The best, a wild one, is not told apart from `worse` by its own interval; the verdict is."""
    values = {"base": BASELINE, "worse": shifted(-0.02), "wild": shifted(0.001, wiggle=90)}
    assert best(values) == ("wild", {"base"})


def test_headline() -> None:
    worse, better, alike, open_ = Verdict.worse, Verdict.better, Verdict.equivalent, Verdict.undecided
    verdicts = dict(zip("abcdefghij", [*[worse] * 3, better, *[alike] * 5, open_], strict=True))
    said = headline(verdicts, set("abcefghij"), "1 point", 8)
    assert said == "4 of 10 parts help, 5 make no difference of 1 point, 1 undecided after 8 seeds"
    assert headline({"a": better}, {"a"}, "1 point", 3) == "1 of 1 part hurts"
    assert headline({"a": alike, "b": worse}, {"b"}, "1 point", 3, noun="change") == (
        "1 of 2 changes helps, 1 makes no difference of 1 point"
    )
