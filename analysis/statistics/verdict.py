"""From tests to a verdict: is the variant better, worse, as good, or is it too early to say?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from analysis.statistics.paired import Pairs
from analysis.statistics.power import MOST_SEEDS, seeds_to_decide

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
