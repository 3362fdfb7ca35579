from __future__ import annotations

import pytest

from terminator.analysis.statistics.power import seeds_to_decide
from terminator.analysis.statistics.verdict import Comparison, Verdict, compare

SEEDS = range(6)
BASELINE = {seed: 0.95 + 0.001 * seed for seed in SEEDS}
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


def test_undecided_says_how_many_more_seeds() -> None:
    judgement = only(shifted(0.006, wiggle=20)).judgement
    assert judgement.verdict is Verdict.undecided
    assert judgement.more_seeds is not None
    assert 1 <= judgement.more_seeds <= 60


@pytest.mark.parametrize(("wiggle", "exact", "said"), [(12, 13, 10), (20, 41, 40), (30, 98, 100), (90, 908, 900)])
def test_more_seeds_have_one_digit(wiggle: float, exact: int, said: int) -> None:
    pairs = only(shifted(0.006, wiggle=wiggle)).pairs
    needed = seeds_to_decide(pairs.mean, pairs.spread, 0.005, fewest=pairs.n + 1, alpha=0.05)
    assert needed is not None
    assert needed - pairs.n == exact
    assert only(shifted(0.006, wiggle=wiggle)).judgement.more_seeds == said


def test_undecided_beyond_a_thousand_seeds() -> None:
    judgement = only(shifted(0.005, wiggle=200)).judgement
    assert judgement.more_seeds is None
    assert judgement.note == "over 1,000 seeds needed"


@pytest.mark.parametrize(
    ("variant", "note"),
    [
        ({0: 0.9}, "one seed has no spread"),
        ({7: 0.9}, "no seed that both have"),
        (dict(BASELINE), "identical in all 6 seeds: does this change reach the model?"),
        ({s: v - 0.01 for s, v in BASELINE.items()}, "the same difference in all 6 seeds: no spread to judge by"),
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
