"""Under a table that decides little: what its seeds can show, and how to add some."""

from __future__ import annotations

from itertools import count, islice

from analysis.digits import significant
from analysis.statistics.power import POWER, detectable_difference
from analysis.statistics.spread import median_spread
from analysis.statistics.verdict import ALPHA, Verdict
from analysis.summary import Summary
from terminator.counting import counted

WORTH_HAVING = 5  # seeds


def reach(summary: Summary) -> str:
    """A note in one line, by the table's own spread; empty where most is decided or there is nothing to decide."""
    compared = [variant.comparison for variant in summary.variants if variant.comparison and variant.comparison.pairs.n]
    undecided = [each for each in compared if each.judgement.verdict is Verdict.undecided]
    if not compared or 2 * len(undecided) <= len(compared):
        return ""
    seeds = max(each.pairs.n for each in compared)
    more = WORTH_HAVING if seeds < WORTH_HAVING else 2 * seeds
    tests = sum(each.pairs.testable for each in compared)
    spread = median_spread(each.pairs for each in compared)
    if seeds == 1:
        shown = "one seed can show no difference"
    elif spread is None:
        shown = f"{counted(seeds, 'seed')} differ too little, or are too few, to tell what they can show"
    else:
        now, then = (_least(summary, number, spread, tests) for number in (seeds, more))
        shown = f"{counted(seeds, 'seed')} can show {now} here, {more} seeds {then} (power {POWER})"
    typed = f"; {_typed(summary, more)} runs what is missing" if summary.question.command else ""
    return f"{shown[0].upper()}{shown[1:]}{typed}."


def _least(summary: Summary, seeds: int, spread: float, tests: int) -> str:
    least = detectable_difference(seeds, spread, ALPHA / tests)
    if summary.metric.is_fraction and least > 100:
        return "no difference"
    unit = f" {summary.metric.points}" if summary.metric.points else ""
    return f"differences from about {significant(least, 2)}{unit} on"


def _typed(summary: Summary, number: int) -> str:
    """The seeds that there are and the next ones, as they are typed."""
    seeds = summary.question.seeds
    new = islice((seed for seed in count() if seed not in seeds), max(0, number - len(seeds)))
    return f"seed={','.join(map(str, sorted([*seeds, *new])))}"
