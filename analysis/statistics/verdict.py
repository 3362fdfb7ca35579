"""What a table says of its variants, from the looks that were made, or from one look at all there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from terminator.analysis.statistics.looks import take_look
from terminator.analysis.statistics.tests import Pairs, hedges_g_z, pair, sign_flip_test, t_interval, t_test
from terminator.ledger import FEWEST_SEEDS, Decision, Interval, Look, LookPlan, Verdict
from terminator.text import counted

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """One variant less its baseline, in the metric's own unit; None where there is no number (`judgement` says why).

    All numbers are of the look at which the variant was decided, else of the last one. `interval` and the p-values
    `p_difference` (paired t) and `p_equivalence` are those of `Decision`; `p_raw` and `p_sign_flip` are not corrected.
    `effect_size`: Hedges' g_z. `complete`: both have a result for every seed of that look.
    """

    pairs: Pairs
    interval: Interval | None
    p_raw: float | None
    p_difference: float | None
    p_sign_flip: float | None
    p_equivalence: float | None
    effect_size: float | None
    judgement: Judgement
    complete: bool = True


@dataclass(frozen=True)
class Judgement:
    """A verdict and, where one is due, a note. `bound`: the difference is at most ± this, where it is undecided."""

    verdict: Verdict
    note: str = ""
    bound: float | None = None


def compare(
    baseline: Mapping[int, float],
    variants: Mapping[str, Mapping[int, float]],
    *,
    smallest_effect: float = 0.0,
    resolution: float = 0.0,
    higher_is_better: bool = True,
    looks: Sequence[Look] | None = None,
) -> dict[str, Comparison]:
    """Compare variants, name → seed → metric, with the baseline, seed → metric, as the last of `looks` has them.

    `looks` are those made of these results, in their unit; where the first is still to come, nothing is tested. None
    takes one at all seeds there are, with the whole error level: right if it is the only one. The other arguments are
    those of `take_look`.
    """
    seeds = tuple(sorted({seed for each in (baseline, *variants.values()) for seed in each}))
    name = "baseline"
    while name in variants:
        name += "'"
    if looks is None:
        values = {name: baseline, **variants}
        plan = LookPlan.fixed(len(seeds), reserve=0.0)
        first = take_look(
            plan,
            (),
            seeds,
            values,
            name,
            margin=smallest_effect,
            resolution=resolution,
            higher_is_better=higher_is_better,
        )
        looks = [first]
    made = looks or [Look(0, seeds, 0.0, planned=False)]
    return {
        variant: _comparison(baseline, results, made, made[-1].decisions.get(variant, Decision()))
        for variant, results in variants.items()
    }


def _comparison(
    baseline: Mapping[int, float],
    results: Mapping[int, float],
    looks: Sequence[Look],
    decision: Decision,
) -> Comparison:
    look = looks[decision.look - 1] if decision.look else looks[-1]
    at = {seed: value for seed, value in results.items() if seed in look.seeds}
    pairs = pair(at, {seed: value for seed, value in baseline.items() if seed in look.seeds})
    return Comparison(
        pairs=pairs,
        interval=decision.interval,
        p_raw=t_test(pairs),
        p_difference=decision.p_difference,
        p_sign_flip=sign_flip_test(pairs),
        p_equivalence=decision.p_equivalence,
        effect_size=hedges_g_z(pairs),
        judgement=_judgement(pairs, decision),
        complete=pairs.seeds == look.seeds,
    )


def _judgement(pairs: Pairs, decision: Decision) -> Judgement:
    if decision.verdict is Verdict.equivalent:
        if pairs.constant:
            return Judgement(Verdict.equivalent, note=_same(pairs))
        shown = decision.p_difference is not None and decision.p_difference < ALPHA
        return Judgement(Verdict.equivalent, note="a real difference, too small to matter" if shown else "")
    if decision.verdict is not Verdict.undecided:
        return Judgement(decision.verdict)
    interval = decision.interval
    if interval is None:
        return Judgement(Verdict.undecided, note=_no_test(pairs))
    note = f"{_same(pairs)}; more seeds can decide" if pairs.constant else ""
    return Judgement(Verdict.undecided, note=note, bound=interval.bound)


def _no_test(pairs: Pairs) -> str:
    """Why there is no test."""
    if pairs.n == 0:
        return "no seed that both have"
    if pairs.n == 1:
        return "one seed has no spread"
    if not pairs.constant:
        return "two seeds decide nothing: a verdict takes three" if pairs.n < FEWEST_SEEDS else ""
    return f"{_same(pairs)}; no spread to judge by"


def _same(pairs: Pairs) -> str:
    """Of differences that are the same in all seeds."""
    if pairs.mean == 0:
        return f"identical in all {pairs.n} seeds, as it is when a change does not reach the model"
    return f"the same difference in all {pairs.n} seeds"


def best_and_tied(
    values: Mapping[str, Mapping[int, float]],
    compared: Mapping[str, Comparison],
    *,
    higher_is_better: bool = True,
) -> tuple[str | None, set[str]]:
    """The best of a table's rows, and those that are not told apart from it; None where there are no two to compare.

    The baseline is the one of `values` that is not in `compared`. Rows may stand at different seeds, so the best is the
    one with the best difference from the baseline, paired by seed, among those with a result for every seed of their
    look. Not told apart from the baseline are those whose verdict does not call them better or worse; two variants,
    where the 95 % t interval of their difference, paired by seed, holds zero. Never tied: what is called worse.
    """
    sign = 1 if higher_is_better else -1
    baseline = next(name for name in values if name not in compared)
    differences = {name: sign * each.pairs.mean for name, each in compared.items() if each.complete and each.pairs.n}
    differences = ({baseline: 0.0} if values[baseline] else {}) | differences
    if len(differences) < 2:
        return None, set()
    best = max(differences, key=lambda name: differences[name])
    verdicts = {name: each.judgement.verdict for name, each in compared.items()}
    tied = set()
    for name in values:
        if name == best or not values[name] or verdicts.get(name) is Verdict.worse:
            continue
        if baseline in (name, best):
            other = best if name == baseline else name
            is_tied = compared[other].pairs.n > 0 and verdicts[other] in (Verdict.undecided, Verdict.equivalent)
        else:
            is_tied = _holds_zero(pair(values[name], values[best]))
        if is_tied:
            tied.add(name)
    return best, tied


def _holds_zero(pairs: Pairs) -> bool:
    interval = t_interval(pairs)
    return interval.contains(0.0) if interval is not None else pairs.constant and pairs.n > 1 and pairs.mean == 0


def headline(
    verdicts: Mapping[str, Verdict], taken_away: Collection[str], smallest_effect: str, seeds: int, noun: str = "part"
) -> str:
    """A table in a sentence: `4 of 10 parts help, 5 make no difference of 1 point, 1 undecided after 8 seeds`.

    A variant that takes a part away (its name is in `taken_away`) says that the part helps where it is worse; any other
    says so of what it adds or changes where it is better. `smallest_effect`: with its unit; `seeds`: of the last look.
    """
    count = Counter(verdicts.values())
    helps = sum(each is (Verdict.worse if name in taken_away else Verdict.better) for name, each in verdicts.items())
    hurts = count[Verdict.better] + count[Verdict.worse] - helps
    said = [
        f"{number} {claim}{'s' if number == 1 else ''}"
        for claim, number in (("help", helps), ("hurt", hurts))
        if number
    ]
    if no_effect := count[Verdict.equivalent]:
        said.append(f"{no_effect} make{'s' if no_effect == 1 else ''} no difference of {smallest_effect}")
    if undecided := count[Verdict.undecided]:
        said.append(f"{undecided} undecided after {counted(seeds, 'seed')}")
    first, _, rest = said[0].partition(" ")
    return ", ".join([f"{first} of {counted(len(verdicts), noun)} {rest}", *said[1:]])
