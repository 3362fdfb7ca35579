"""Before a sweep: what difference can so many seeds show, given the spread seen so far?"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path

from analysis.digits import decimals, number
from analysis.load import load
from analysis.statistics.power import POWER, detectable_difference
from analysis.statistics.verdict import ALPHA
from analysis.summary import Summary, summarize
from terminator.counting import counted
from terminator.errors import UserError


def power_note(root: Path, ablation: str, *, dataset: str, seeds: int, variants: int) -> str:
    """One sentence for the plan of `ablation`: `seeds` a variant, `variants` beside the baseline.

    The spread of the differences is that of the ablation's newest results on `dataset`, else of the other ablations'
    there. Without any, or with one seed, the sentence says so.
    """
    if seeds < 2:
        return "Power: one seed has no spread: no interval and no verdict will come of it."
    summaries = _summaries(root, [ablation], dataset) or _summaries(root, None, dataset)
    spread = pooled_spread(summaries)
    tested = f"{counted(seeds, 'seed')} and {counted(variants, 'variant')}"
    if spread is None:
        times = detectable_difference(seeds, 1.0, ALPHA / max(1, variants))
        return (
            f"Power: {tested} show differences from about {number(times, 1)} times their spread over the seeds on; "
            f"no results on {dataset} yet say how large that is."
        )
    shown = detectable_difference(seeds, spread, ALPHA / max(1, variants))
    metric = summaries[0].metric
    unit = f" {metric.points}" if metric.points else ""
    places = decimals([spread])
    names = ", ".join(dict.fromkeys(summary.question.name for summary in summaries))
    return (
        f"Power: {tested} show differences from about {number(shown, places)}{unit} on (power {POWER}, at Holm's "
        f"strictest level), with the spread of {number(spread, places)}{unit} seen in {names} on {dataset}."
    )


def pooled_spread(summaries: Sequence[Summary]) -> float | None:
    """The standard deviation of paired differences, pooled over variants; None where none has two pairs."""
    compared = [variant.comparison for summary in summaries for variant in summary.variants]
    pairs = [each.pairs for each in compared if each is not None and each.pairs.n >= 2]
    degrees = sum(each.n - 1 for each in pairs)
    return sqrt(sum((each.n - 1) * each.spread**2 for each in pairs) / degrees) if degrees else None


def _summaries(root: Path, ablations: list[str] | None, dataset: str) -> list[Summary]:
    """What there is, judged by the first one's metric; what cannot be read says nothing of the spread."""
    try:
        results = load(root, ablations, dataset=dataset)
        summaries = [summarize(results, question) for question in results.questions]
    except UserError:
        return []
    return [summary for summary in summaries if summary.metric == summaries[0].metric]
