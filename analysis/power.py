"""Before a sweep: what difference can so many seeds show, given the spread seen so far?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from terminator.analysis.load import load
from terminator.analysis.statistics.power import POWER, detectable_difference
from terminator.analysis.statistics.tests import Pairs, median_spread
from terminator.analysis.statistics.verdict import ALPHA
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.text import decimals, number
from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger
from terminator.text import counted

SAME = ("model", "data", "optimizer", "objective", "training")
ELSEWHERE = "folder"  # where the data lie, not what they are


def power_note(root: Path, ablation: str, *, config: Mapping[str, Any], seeds: int, variants: int) -> str:
    """One sentence for the plan of `ablation`: `seeds` a variant, `variants` beside the baseline.

    The spread of the differences is that of the ablation's newest results whose baseline has this resolved `config`
    (seed and machine apart), else of the other ablations'. Without any, or with one seed, the sentence says so.
    """
    if seeds < 2:
        return "Power: one seed has no spread: no interval and no verdict will come of it."
    summaries = _summaries(root, ablation, config)
    spread = median_spread(pairs := _pairs(summaries))
    tested = f"{counted(seeds, 'seed')} and {counted(variants, 'variant')}"
    if spread is None:
        times = detectable_difference(seeds, 1.0, ALPHA / max(1, variants))
        return (
            f"Power: {tested} show differences from about {number(times, 1)} times their spread over the seeds on; "
            "no results with these settings yet say how large that is."
        )
    shown = detectable_difference(seeds, spread, ALPHA / max(1, variants))
    metric = summaries[0].metric
    unit = f" {metric.points}" if metric.points else ""
    places = decimals([spread])
    sweeps = ", ".join(dict.fromkeys(summary.question.sweep for summary in summaries))
    return (
        f"Power: {tested} show differences from about {number(shown, places)}{unit} on (power {POWER}, at Holm's "
        f"strictest level), with a spread of {number(spread, places)}{unit}: the median of "
        f"{counted(len(pairs), 'variant')} of {sweeps}."
    )


def _pairs(summaries: Sequence[Summary]) -> list[Pairs]:
    """The differences that have a spread."""
    compared = [variant.comparison for summary in summaries for variant in summary.variants]
    return [each.pairs for each in compared if each is not None and each.pairs.testable]


def _summaries(root: Path, ablation: str, config: Mapping[str, Any]) -> list[Summary]:
    """The ablation's newest results with this configuration, else those of all others, judged by one metric."""
    found: dict[str, Summary] = {}
    for summary in _alike(Ledger(root), ablation, config):
        if summary.question.name == ablation:
            return [summary]
        found.setdefault(summary.question.name, summary)
    first = next(iter(found.values()), None)
    return [summary for summary in found.values() if first is not None and summary.metric == first.metric]


def _alike(ledger: Ledger, ablation: str, config: Mapping[str, Any]) -> Iterator[Summary]:
    """What has a spread and this configuration: of the ablation itself first, newest first."""
    there = [(sweep, each) for sweep in ledger.sweeps() for each in sweep.ablations]
    for sweep, each in sorted(there, key=lambda pair: pair[1].name != ablation):
        if _settings(_config(ledger, each)) == _settings(config):
            try:
                results = load(ledger.root, each.name, sweep=sweep.id)
                summary = summarize(results, results.questions[0])
            except UserError:  # what cannot be read says nothing of the spread
                continue
            if _pairs([summary]):
                yield summary


def _config(ledger: Ledger, ablation: Ablation) -> Mapping[str, Any]:
    """The baseline's configuration, as frozen; empty where it is not."""
    keys = [key for variant in ablation.variants if variant.name == ablation.baseline for key in variant.runs.values()]
    runs = [run for run in map(ledger.run, keys) if run.frozen()]
    return runs[0].spec().config if runs else {}


def _settings(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {group: {key: value for key, value in config.get(group, {}).items() if key != ELSEWHERE} for group in SAME}
