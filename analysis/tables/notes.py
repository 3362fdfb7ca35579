"""What a reader must know to trust a table: how it was made, what is missing, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

from terminator.analysis.statistics.power import POWER, detectable_difference
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.statistics.verdict import ALPHA, Verdict
from terminator.analysis.summary import Summary
from terminator.analysis.tables.effects import why_no_effects
from terminator.analysis.tables.table import TIE
from terminator.analysis.text import number, significant
from terminator.text import NEAR, counted, signed_percent


def far_twins(summary: Summary) -> Iterator[str]:
    """A sentence for each twin that misses its budget by more than `NEAR`, as its runs counted it."""
    for variant in summary.variants:
        what = variant.name.rpartition("@")[2]  # parameters or flops
        size, budget = variant.costs.get(what), summary.baseline.costs.get(what)
        if variant.twin_of is not None and size and budget and abs(off := size / budget - 1) > NEAR:
            yield (
                f"{variant.name} misses the {what} of {summary.baseline.name} by {signed_percent(off)}: "
                "it is no control of equal size."
            )


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


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """The notes under a table, the general ones first."""
    yield from _method(summaries)
    yield from dict.fromkeys(remark for summary in summaries for remark in summary.remarks)
    yield from _provenance(summaries)
    yield from dict.fromkeys(said for summary in summaries for said in far_twins(summary))
    for why in filter(None, map(why_no_effects, summaries)):
        yield f"No main effects and interactions: {why}."
    for summary in summaries:
        whose = summary.question.name if len(summaries) > 1 else ""
        yield from filter(None, [f"{whose}: {said}" if (said := reach(summary)) and whose else said])
        yield from _gaps(summary, f"{whose}, " if whose else "")


def _method(summaries: Sequence[Summary]) -> Iterator[str]:
    first = summaries[0]
    baselines = ", ".join(dict.fromkeys(summary.baseline.name for summary in summaries))
    compared = [variant.comparison for summary in summaries for variant in summary.variants if variant.comparison]
    if any(each.interval for each in compared):
        yield (
            f"Difference: from {baselines}, paired by seed, with its 95 % t interval; "
            "p: paired t-test, corrected by Holm over the variants of an ablation."
        )
    elif compared:
        yield f"Difference: from {baselines}, paired by seed; too few seeds for intervals and tests."
    if first.smallest_effect and compared:
        unit = f" {first.metric.points}" if first.metric.points else ""
        yield f"Smallest effect that matters: {number(first.smallest_effect, 2)}{unit} (two one-sided tests, Holm)."
    if any(each.judgement.more_seeds for each in compared):
        yield "Undecided, about +N seeds: that many more would do, if the difference and spread are those seen so far."
    if any(variant.best for summary in summaries for variant in summary.variants):
        tied = any(variant.tied for summary in summaries for variant in summary.variants)
        tie = f"; {TIE}: not told apart from it (the 95 % interval of the paired difference holds 0)" if tied else ""
        yield f"Bold: best mean{tie}."


def _provenance(summaries: Sequence[Summary]) -> Iterator[str]:
    commits = sorted({commit for summary in summaries for commit in summary.commits})
    codes = sorted({code for summary in summaries for code in summary.codes})
    if len(codes) > 1:
        of = f" (commits {', '.join(commits)})" if commits else ""
        yield f"Mixed code{of}: ‡ marks rows whose code is not the baseline's; their differences may come from that."
    elif len(commits) > 1:
        yield f"Runs of {len(commits)} commits ({', '.join(commits)}) whose code is the same."
    elif commits:
        yield f"Commit {commits[0]}."
    elif codes:
        yield f"No commit; code {codes[0][:10]}."


def missing_runs(summary: Summary) -> list[str]:
    """The runs without a result; variants and seeds that were lost to the same thing stand together."""
    variants: dict[str, list[str]] = {}
    for variant in summary.variants:
        seeds: dict[str, list[int]] = {}
        for each in variant.missing:
            message = f" ({each.message})" if each.message else ""
            seeds.setdefault(f"{each.why}{message}", []).append(each.seed)
        lost = [f"seed{'s' if len(of) > 1 else ''} {', '.join(map(str, of))}: {why}" for why, of in seeds.items()]
        if lost:
            variants.setdefault("; ".join(lost), []).append(variant.name)
    return [f"{', '.join(names)}, {lost}" for lost, names in variants.items()]


def _gaps(summary: Summary, prefix: str) -> Iterator[str]:
    for line in missing_runs(summary):
        yield f"Missing: {prefix}{line}."
    notes: dict[str, list[str]] = {}
    for variant in summary.variants:
        comparison = variant.comparison
        if comparison is None or not variant.values:
            continue
        unpaired = [str(seed) for seed in comparison.pairs.unpaired if seed in variant.values]
        if unpaired and comparison.pairs.n:
            seeds, have, are = ("seed", "has", "is") if len(unpaired) == 1 else ("seeds", "have", "are")
            note = f"{seeds} {', '.join(unpaired)} {have} no baseline run and {are} not in the difference"
            notes.setdefault(note, []).append(variant.name)
        if comparison.judgement.note:
            notes.setdefault(comparison.judgement.note, []).append(variant.name)
    every = [variant.name for variant in summary.variants if variant.comparison is not None]
    for note, names in notes.items():
        whose = "all variants" if names == every and len(every) > 1 else ", ".join(names)
        yield f"{prefix}{whose}: {note}{'' if note.endswith('?') else '.'}"
