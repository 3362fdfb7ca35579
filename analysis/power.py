"""Before a sweep: what difference can the last look show, given the spread seen so far?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize, special

from terminator.analysis.load import load
from terminator.analysis.metrics import Metric, metric
from terminator.analysis.statistics.looks import next_alpha
from terminator.analysis.statistics.tests import FloatArray, Pairs, median_spread
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.text import decimals, number
from terminator.errors import UserError
from terminator.ledger import FEWEST_SEEDS, Ablation, Ledger
from terminator.text import counted

POWER = 0.8
SAME = ("model", "data", "optimizer", "objective", "training")  # groups that runs of one spread must agree in
NOT_DATA = "folder"  # where the data lie, not what they are


def power_notes(root: Path, ablation: Ablation, config: Mapping[str, Any], test_images: int | None) -> list[str]:
    """Sentences for the plan of `ablation`: what its last look can show, and whether its margin fits the data.

    The spread of the differences is that of the ablation's newest results whose baseline has this resolved `config`
    (seed and machine apart), else of the other ablations'. Without any, or with too few seeds, a sentence says so.
    `test_images`: None where their number is not known before a run.
    """
    seeds, tests = ablation.most_seeds, len(ablation.variants) - 1
    what, share = counted(tests, "variant"), 1.0
    if ablation.is_screen:  # an effect has less spread than a difference of two runs
        tests, share = len(ablation.variants[0].factors), sqrt(2 / len(ablation.variants))
        what = counted(tests, "main effect")
    if seeds < FEWEST_SEEDS:
        return [f"Power: {counted(seeds, 'seed')} can show nothing: an interval and a verdict take {FEWEST_SEEDS}."]
    summaries = _summaries(Ledger(root), ablation, config)
    pairs = [each for summary in summaries for each in _pairs(summary)]
    spread, shown = median_spread(pairs), metric(ablation.metric, ablation.higher_is_better)
    images = (summaries[0].test_images if summaries else None) or test_images
    seen = None if spread is None else spread / shown.scale
    warnings = margin_warnings(ablation.smallest_effect, seen, images, shown)
    tested = f"{counted(seeds, 'seed')} and {what}"
    times = share * detectable_difference(seeds, spread or 1.0, next_alpha(ablation.plan, (), seeds) / max(1, tests))
    if spread is None:
        power = (
            f"Power: {tested} show differences from about {number(times, 1)} times their spread over the seeds on; "
            "no results with these settings yet say how large that is."
        )
    else:
        places, unit = decimals([spread]), summaries[0].metric.points_suffix
        sweeps = ", ".join(dict.fromkeys(summary.question.sweep.id for summary in summaries))
        shows = f"differences from about {number(times, places)}{unit} on"
        if shown.is_fraction and times > shown.scale:
            shows = "no difference that there can be"
        power = (
            f"Power: {tested} show {shows} (power {POWER}, at Holm's "
            f"strictest level), with a spread of {number(spread, places)}{unit}: the median of "
            f"{counted(len(pairs), 'variant')} of {sweeps}."
        )
    return [power, *warnings]


def _pairs(summary: Summary) -> list[Pairs]:
    """The differences that have a spread."""
    compared = [variant.comparison for variant in summary.variants]
    return [each.pairs for each in compared if each is not None and each.pairs.testable]


def _summaries(ledger: Ledger, ablation: Ablation, config: Mapping[str, Any]) -> list[Summary]:
    """What has a spread of this metric, with this configuration: the ablation's newest, else the others'."""
    found: dict[str, Summary] = {}
    there = [(sweep, each) for sweep in ledger.sweeps() for each in sweep.ablations]
    for sweep, each in sorted(there, key=lambda pair: pair[1].name != ablation.name):  # newest first
        if each.name in found or _settings(_config(ledger, each)) != _settings(config):
            continue
        try:
            results = load(ledger.root, each.name, sweep=sweep.id)
            summary = summarize(results, results.questions[0], ablation.metric)
        except UserError:  # what cannot be read tells nothing about the spread
            continue
        if _pairs(summary):
            if each.name == ablation.name:
                return [summary]
            found[each.name] = summary
    return list(found.values())


def _config(ledger: Ledger, ablation: Ablation) -> Mapping[str, Any]:
    """The baseline's configuration, as frozen; empty where it is not."""
    keys = [key for variant in ablation.variants if variant.name == ablation.baseline for key in variant.runs.values()]
    return next((run.spec().config for run in map(ledger.run, keys) if run.frozen()), {})


def _settings(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {group: {key: value for key, value in config.get(group, {}).items() if key != NOT_DATA} for group in SAME}


def margin_warnings(margin: float, spread: float | None, test_images: int | None, metric: Metric) -> tuple[str, ...]:
    """A sentence for each way in which `margin` asks for more than the data can show.

    `spread`: the typical standard deviation of a paired difference (`median_spread`), in the margin's unit, that of
    the ledger; None where it is not known.
    """
    found = []
    scale, suffix = metric.scale, metric.points_suffix
    amount = f"{margin * scale:.2g}{suffix}"
    asked = f"The smallest effect that matters, {'1 point' if amount == '1 points' else amount},"
    if spread is not None and margin < spread:
        found.append(
            f"{asked} is below one typical spread of the differences between seeds, {spread * scale:.2g}{suffix}: "
            "to show that a difference is smaller takes many seeds."
        )
    if metric.of_test_images and test_images is not None and margin < 1 / test_images:
        found.append(
            f"{asked} is below what one of {test_images:,} test images is worth, {scale / test_images:.2g}{suffix}."
        )
    return tuple(found)


# Power is the mean, over the spreads that a sample may show, of a normal probability: exact, and free
# of the NaNs that scipy's noncentral t returns far from its centre. Nodes on the probability scale of the spread.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)


def difference_power(seeds: int, effect: float, spread: float, alpha: float) -> float:
    """The chance that a two-sided paired t-test at `alpha` shows a true difference of `effect`."""
    shift = abs(effect) / spread * sqrt(seeds)
    reach = special.stdtrit(seeds - 1, 1 - alpha / 2) * _spread_ratios(seeds - 1)
    return float(_WEIGHTS @ (special.ndtr(shift - reach) + special.ndtr(-shift - reach)) / 2)


def detectable_difference(seeds: int, spread: float, alpha: float) -> float:
    """The true difference that `seeds` paired seeds show with power 0.8. Raises ValueError below two seeds."""
    if seeds < 2:
        raise ValueError(f"seeds={seeds}: a spread takes two seeds or more")
    if spread == 0:
        return 0.0
    # In units of the spread, the answer lies between these for any n ≥ 2 and any alpha in use.
    found = optimize.brentq(lambda d: difference_power(seeds, d, 1.0, alpha) - POWER, 1e-3, 1e4 / sqrt(seeds))
    return float(found) * spread


@cache  # the root finder asks for the same again and again
def _spread_ratios(degrees: int) -> FloatArray:
    """Sample spread over true spread, at the nodes."""
    return np.sqrt(special.chdtri(degrees, (1 - _NODES) / 2) / degrees)  # type: ignore[no-any-return]
