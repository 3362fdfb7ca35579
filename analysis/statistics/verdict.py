"""From tests to a verdict: is the variant better, worse, as good, or is it too early to say?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from scipy import stats

from terminator.analysis.statistics.power import MOST_SEEDS, seeds_to_decide
from terminator.analysis.statistics.tests import Interval, Pairs, hedges_g_z, pair, sign_flip_test, t_interval, t_test


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust the p-values of one family; None (not testable) stays None and does not count as a test.

    Written out, and held to statsmodels' in the tests: that one collects garbage at every call, which takes its time.
    """
    tested = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    largest = 0.0
    for smaller, (p, name) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - smaller)))
        adjusted[name] = largest
    return adjusted


def equivalence_test(pairs: Pairs, margin: float) -> float | None:
    """The p of "the true difference is at least `margin` in size"; None where there is no spread or no margin."""
    if not pairs.testable or margin <= 0:
        return None
    above = stats.ttest_1samp(pairs.differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(pairs.differences, margin, alternative="less").pvalue
    return float(max(above, below))


@dataclass(frozen=True)
class Comparison:
    """One variant less its baseline, in the metric's own unit; None where there is no number (`judgement` says why).

    `p_difference` (paired t) and `p_equivalence` are corrected over the variants by Holm; `p_raw` and `p_sign_flip` are
    not. `effect_size`: Hedges' g_z.
    """

    pairs: Pairs
    interval: Interval | None
    p_raw: float | None
    p_difference: float | None
    p_sign_flip: float | None
    p_equivalence: float | None
    effect_size: float | None
    judgement: Judgement


def compare(
    baseline: Mapping[int, float],
    variants: Mapping[str, Mapping[int, float]],
    *,
    smallest_effect: float = 0.0,
    higher_is_better: bool = True,
) -> dict[str, Comparison]:
    """Compare variants, name → seed → metric, with the baseline, seed → metric."""
    pairs = {name: pair(results, baseline) for name, results in variants.items()}
    raw = {name: t_test(each) for name, each in pairs.items()}
    difference = holm(raw)
    equivalence = holm({name: equivalence_test(each, smallest_effect) for name, each in pairs.items()})
    tested = sum(p is not None for p in raw.values())
    return {
        name: Comparison(
            pairs=each,
            interval=t_interval(each),
            p_raw=raw[name],
            p_difference=difference[name],
            p_sign_flip=sign_flip_test(each),
            p_equivalence=equivalence[name],
            effect_size=hedges_g_z(each),
            judgement=judge(
                each,
                p_difference=difference[name],
                p_equivalence=equivalence[name],
                smallest_effect=smallest_effect,
                higher_is_better=higher_is_better,
                comparisons=tested,
            ),
        )
        for name, each in pairs.items()
    }


ALPHA = 0.05


class Verdict(Enum):
    """What the data say of a variant beside its baseline."""

    better = "better"
    worse = "worse"
    equivalent = "equivalent"
    undecided = "undecided"


@dataclass(frozen=True)
class Judgement:
    """A verdict, about how many seeds are still needed where it is undecided and that can be said, and a note where one
    is due.

    `more_seeds` has one significant digit: the spread that it comes from is known no better.
    """

    verdict: Verdict
    more_seeds: int | None = None
    note: str = ""


def judge(
    pairs: Pairs,
    *,
    p_difference: float | None,
    p_equivalence: float | None,
    smallest_effect: float,
    higher_is_better: bool,
    comparisons: int,
) -> Judgement:
    """Judge one variant. Both p-values are those after Holm; `comparisons` is the number of variants tested.

    A difference that is surely there and surely smaller than `smallest_effect` is `equivalent`: it does not matter.
    The seeds still needed are counted at the strictest of Holm's levels, so they are rather too many than too few.
    """
    if pairs.n == 0:
        return Judgement(Verdict.undecided, note="no seed that both have")
    if pairs.n == 1:
        return Judgement(Verdict.undecided, note="one seed has no spread")
    if pairs.constant:
        return Judgement(Verdict.undecided, note=_no_spread(pairs))
    shown = p_difference is not None and p_difference < ALPHA
    if p_equivalence is not None and p_equivalence < ALPHA:
        return Judgement(Verdict.equivalent, note="a real difference, too small to matter" if shown else "")
    if shown:
        return Judgement(Verdict.better if (pairs.mean > 0) == higher_is_better else Verdict.worse)
    needed = seeds_to_decide(
        pairs.mean, pairs.spread, smallest_effect, fewest=pairs.n + 1, alpha=ALPHA / max(1, comparisons)
    )
    if needed is None:
        return Judgement(Verdict.undecided, note=f"over {MOST_SEEDS:,} seeds needed")
    return Judgement(Verdict.undecided, more_seeds=_roughly(needed - pairs.n))


def _roughly(count: int) -> int:
    return round(count, 1 - len(str(count)))


def _no_spread(pairs: Pairs) -> str:
    if pairs.mean == 0:
        return f"identical in all {pairs.n} seeds: does this change reach the model?"
    return f"the same difference in all {pairs.n} seeds: no spread to judge by"
