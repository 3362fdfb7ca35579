"""Planned looks at growing numbers of seeds, which share one error level between them.

Testing again at the full level whenever there are more seeds calls something different far too often. Here look l tests
at α_l, and all α_l ever spent sum to `LookPlan.level` at most: by the union bound, the chance of any false claim at any
look is no larger, however the looks depend on each other (Jennison and Turnbull 2000, Group Sequential Methods).
A table's variants share α_l by Holm; the tests of a difference and those of no difference are a family each.

A look is recorded (`Look`), because what later looks may spend depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isclose
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from terminator.analysis.statistics.tests import (
    FloatArray,
    Moments,
    equivalence_p_values,
    holm_steps,
    moments,
    t_p_values,
)
from terminator.ledger import FEWEST_SEEDS, Decision, Interval, Look, LookPlan, Verdict

GROWTH = 1.6  # from look to look, beyond the plan


def next_alpha(plan: LookPlan, made: Sequence[Look], seeds: int | None = None) -> float:
    """What a look at so many `seeds` may spend after the looks `made`; by default, the one that `next_look` names.

    `plan` is the one that was frozen with the question, whatever is typed later. A look of the plan has its own share,
    also when others are passed over; their shares are lost. Any other look spends half of what is left of the reserve.
    So no share can be moved to where the data look promising: to stake all that is left on one more seed when p is
    nearly small enough would call something different in 5.8 to 6.6 % of tables without effect (docs/statistics.md).
    """
    if seeds is None:
        seeds = _next_seeds(plan.seeds, made)[0]
    left = max(0.0, plan.level - sum(look.alpha for look in made))
    if _is_planned(plan, made, seeds):
        return min(left, plan.level * (1 - plan.reserve) * plan.shares[plan.seeds.index(seeds)])
    return min(left, max(0.0, plan.level * plan.reserve - sum(look.alpha for look in made if not look.planned)) / 2)


class NextLook(NamedTuple):
    """The look to come: `variants` (and the baseline) need results for `seeds` seeds in all."""

    number: int
    seeds: int
    alpha: float
    asked_for: bool
    variants: tuple[str, ...]


def next_look(
    plan: LookPlan, made: Sequence[Look], variants: Sequence[str], wanted: Sequence[int] | None = None
) -> NextLook | None:
    """The next look of a table with these `variants` (the baseline apart); None where all are decided.

    `wanted`: the numbers of seeds to look at, where others than the plan's were typed. `asked_for` is False where these
    are through: then it is a proposal, a way on that someone has to type.
    """
    decisions = made[-1].decisions if made else {}
    undecided = tuple(name for name in variants if decisions.get(name, Decision()).verdict is Verdict.undecided)
    if not undecided:
        return None
    seeds, asked_for = _next_seeds(plan.seeds if wanted is None else wanted, made)
    return NextLook(len(made) + 1, seeds, next_alpha(plan, made, seeds), asked_for, undecided)


def take_look(
    plan: LookPlan,
    made: Sequence[Look],
    seeds: Sequence[int],
    values: Mapping[str, Mapping[int, float]],
    baseline: str,
    *,
    margin: float = 0.0,
    resolution: float = 0.0,
    higher_is_better: bool = True,
) -> Look:
    """Look at `values`, variant → seed → metric, at `seeds`; runs of theirs without a (finite) result are left out.

    `margin`: the smallest effect that matters. `resolution`: the metric's step, for an accuracy what one test image is
    worth; 0 where it has none. Both in the unit of `values`.

    Decided variants keep their decision. Where one of the looks `made` was at these seeds and these results, it is
    returned: to see it again spends nothing. With fewer than three seeds nothing is tested, and nothing spent. All
    variants in `values` count in Holm's families, even those that cannot be tested: whether they can may hang on chance
    (no spread in few seeds), and a smaller family then would be one chosen by the data.
    """
    seeds = tuple(sorted(set(seeds)))
    names = [name for name in values if name != baseline]
    table = {name: np.array([values[name].get(seed, np.nan) for seed in seeds]) for name in [baseline, *names]}
    ours = np.stack([table[name] for name in names]) if names else np.empty((0, len(seeds)))
    sample = moments(ours, table[baseline], resolution)
    paired = np.isfinite(ours) & np.isfinite(table[baseline])
    pairs = [tuple(seed for seed, there in zip(seeds, row, strict=True) if there) for row in paired]
    for look in made:
        if look.seeds == seeds and _same(look, names, pairs, sample.mean):
            return look
    number = len(made) + 1
    kept = made[-1].decisions if made else {}
    before = np.array([_CODES.index(kept.get(name, Decision()).verdict) for name in names], dtype=np.int8)
    alpha = next_alpha(plan, made, len(seeds)) if len(seeds) >= FEWEST_SEEDS and not before.all() else 0.0
    judged = judge(sample, before, alpha=alpha, margin=margin, higher_is_better=higher_is_better)
    decisions = {}
    for index, name in enumerate(names):
        if before[index]:
            decisions[name] = kept[name]
            continue
        low, high = float(judged.low[index]), float(judged.high[index])
        decisions[name] = Decision(
            verdict=_CODES[judged.codes[index]],
            look=number,
            seeds=pairs[index],
            difference=float(sample.mean[index]) if pairs[index] else None,
            interval=Interval(low, high, 1 - alpha) if np.isfinite(high - low) else None,
            p_difference=_over_looks(judged.p_difference[index], plan.level, alpha),
            p_equivalence=_over_looks(judged.p_equivalence[index], plan.level, alpha),
        )
    return Look(number, seeds, alpha, alpha > 0 and _is_planned(plan, made, len(seeds)), decisions)


UNDECIDED, EQUIVALENT, BETTER, WORSE = range(4)
_CODES = (Verdict.undecided, Verdict.equivalent, Verdict.better, Verdict.worse)


class Judged(NamedTuple):
    """What a look says, (…, variants): a code of a verdict, p-values corrected over the variants alone, intervals.

    NaN for a variant that cannot be tested, or was decided before.
    """

    codes: NDArray[np.int8]
    p_difference: FloatArray
    p_equivalence: FloatArray
    low: FloatArray
    high: FloatArray


def judge(
    sample: Moments,
    before: NDArray[np.int8],
    *,
    alpha: float | FloatArray,
    margin: float,
    higher_is_better: bool = True,
) -> Judged:
    """Judge tables of paired differences at one look; `before`: the codes of the verdicts so far, (…, variants).

    `alpha` is the look's, or (…, 1), where tables have their own; at 0 nothing is tested.

    Those decided before are out, but count in both of Holm's families: in the one they were rejected in as rejected
    (true ones among the rest then are no more than the tests that Holm allows for), in the other as not rejected.
    A difference that is surely there and surely smaller than `margin` is equivalent: it does not matter.
    """
    tested = (before == UNDECIDED) & sample.testable & (alpha > 0)
    error, degrees = np.where(tested, sample.error, np.nan), np.maximum(1, sample.n - 1).astype(np.float64)
    as_different = ((before == BETTER) | (before == WORSE)).sum(axis=-1)
    as_equivalent = (before == EQUIVALENT).sum(axis=-1)
    p_difference = holm_steps(t_p_values(sample.mean, error, degrees), as_different)
    p_equivalence = np.full(p_difference.shape, np.nan)
    if margin > 0:
        p_equivalence = holm_steps(equivalence_p_values(sample.mean, error, degrees, margin), as_equivalent)
    towards = np.where((sample.mean > 0) == higher_is_better, BETTER, WORSE)
    codes = np.where(p_equivalence < alpha, EQUIVALENT, np.where(p_difference < alpha, towards, before))
    half = special.stdtrit(degrees, 1 - alpha / 2) * error
    return Judged(codes.astype(np.int8), p_difference, p_equivalence, sample.mean - half, sample.mean + half)


def _over_looks(p: float, level: float, alpha: float) -> float | None:
    return None if np.isnan(p) else min(1.0, float(p) * (level / alpha))


def _same(look: Look, names: Sequence[str], pairs: Sequence[tuple[int, ...]], means: FloatArray) -> bool:
    """Whether the variants that this look judged have the results they had."""
    for name, seeds, mean in zip(names, pairs, means.tolist(), strict=True):
        then = look.decisions.get(name)
        if then is None:
            return False
        if then.look != look.number:  # it was decided before
            continue
        if then.seeds != seeds or (then.difference is not None and not isclose(then.difference, mean, rel_tol=1e-6)):
            return False
    return True


def _is_planned(plan: LookPlan, made: Sequence[Look], seeds: int) -> bool:
    """Whether a look at so many seeds is one of the plan's, and the first of that number."""
    return seeds in plan.seeds and not any(look.planned and len(look.seeds) == seeds for look in made)


def _next_seeds(wanted: Sequence[int], made: Sequence[Look]) -> tuple[int, bool]:
    """The next of the `wanted` numbers of seeds, and whether there is one; else a proposal."""
    last = max((len(look.seeds) for look in made if look.alpha > 0), default=0)
    following = next((n for n in wanted if n > last), None)
    return (following, True) if following is not None else (max(FEWEST_SEEDS, ceil(GROWTH * last)), False)
