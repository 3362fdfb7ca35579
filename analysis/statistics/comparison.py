"""Every variant of a table beside its baseline: the one place where the tests come together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.statistics.effect_size import hedges_g_z
from analysis.statistics.equivalence import equivalence_test
from analysis.statistics.holm import holm
from analysis.statistics.paired import Interval, Pairs, pair, t_interval, t_test
from analysis.statistics.permutation import sign_flip_test
from analysis.statistics.verdict import Judgement, judge


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
