"""Before a sweep: what difference can so many seeds show, given the spread seen so far?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

SAME = ("model", "data", "optimizer", "objective", "training")  # groups that runs of one spread must agree in
NOT_DATA = "folder"  # where the data lie, not what they are


def power_note(root: Path, ablation: str, *, config: Mapping[str, Any], seeds: int, variants: int) -> str:
    """One sentence for the plan of `ablation`: `seeds` a variant, `variants` beside the baseline.

    The spread of the differences is that of the ablation's newest results whose baseline has this resolved `config`
    (seed and machine apart), else of the other ablations'. Without any, or with one seed, the sentence says so.
    """
    if seeds < 2:
        return "Power: one seed has no spread: no interval and no verdict will come of it."
    summaries = _summaries(Ledger(root), ablation, config)
    pairs = [each for summary in summaries for each in _pairs(summary)]
    spread = median_spread(pairs)
    tested = f"{counted(seeds, 'seed')} and {counted(variants, 'variant')}"
    times = detectable_difference(seeds, spread or 1.0, ALPHA / max(1, variants))
    if spread is None:
        return (
            f"Power: {tested} show differences from about {number(times, 1)} times their spread over the seeds on; "
            "no results with these settings yet say how large that is."
        )
    places, unit = decimals([spread]), summaries[0].metric.points_suffix
    sweeps = ", ".join(dict.fromkeys(summary.question.sweep.id for summary in summaries))
    return (
        f"Power: {tested} show differences from about {number(times, places)}{unit} on (power {POWER}, at Holm's "
        f"strictest level), with a spread of {number(spread, places)}{unit}: the median of "
        f"{counted(len(pairs), 'variant')} of {sweeps}."
    )


def _pairs(summary: Summary) -> list[Pairs]:
    """The differences that have a spread."""
    compared = [variant.comparison for variant in summary.variants]
    return [each.pairs for each in compared if each is not None and each.pairs.testable]


def _summaries(ledger: Ledger, ablation: str, config: Mapping[str, Any]) -> Sequence[Summary]:
    """What has a spread and this configuration: the ablation's newest, else the others', judged by one metric."""
    found: dict[str, Summary] = {}
    there = [(sweep, each) for sweep in ledger.sweeps() for each in sweep.ablations]
    for sweep, each in sorted(there, key=lambda pair: pair[1].name != ablation):  # newest first
        if each.name in found or _settings(_config(ledger, each)) != _settings(config):
            continue
        try:
            results = load(ledger.root, each.name, sweep=sweep.id)
            summary = summarize(results, results.questions[0])
        except UserError:  # what cannot be read tells nothing about the spread
            continue
        if _pairs(summary):
            if each.name == ablation:
                return [summary]
            found[each.name] = summary
    first = next(iter(found.values()), None)
    return [summary for summary in found.values() if first is not None and summary.metric == first.metric]


def _config(ledger: Ledger, ablation: Ablation) -> Mapping[str, Any]:
    """The baseline's configuration, as frozen; empty where it is not."""
    keys = [key for variant in ablation.variants if variant.name == ablation.baseline for key in variant.runs.values()]
    return next((run.spec().config for run in map(ledger.run, keys) if run.frozen()), {})


def _settings(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {group: {key: value for key, value in config.get(group, {}).items() if key != NOT_DATA} for group in SAME}
