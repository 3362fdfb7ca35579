"""What a reader must know to trust a table: how it was made, what is missing, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

from terminator.analysis.metrics import Metric
from terminator.analysis.statistics.power import POWER, detectable_difference
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.statistics.verdict import ALPHA, Verdict
from terminator.analysis.summary import Summary
from terminator.analysis.tables.details import why_no_effects
from terminator.analysis.tables.table import TIE
from terminator.analysis.text import number, significant
from terminator.text import NEAR, counted, signed_percent

OTHER_CODE, OTHER_LIBRARIES = "‡", "§"
WORTH_HAVING = 5  # seeds


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """The notes under a table, the general ones first."""
    yield from _method(summaries)
    yield from dict.fromkeys(remark for summary in summaries for remark in summary.remarks)
    yield from _provenance(summaries)
    yield from dict.fromkeys(note for summary in summaries for note in off_budget(summary))
    for why in filter(None, map(why_no_effects, summaries)):
        yield f"No main effects and interactions: {why}."
    for summary in summaries:
        whose = summary.name if len(summaries) > 1 else ""
        if note := detectable_effect(summary):
            yield f"{whose}: {note}" if whose else note
        yield from _gaps(summary, f"{whose}, " if whose else "")


def off_budget(summary: Summary) -> Iterator[str]:
    """A sentence for each size-matched control that misses its budget by more than `NEAR`, as its runs counted it."""
    for variant in summary.variants:
        what = variant.name.rpartition("@")[2]  # parameters or flops
        size, budget = variant.costs.get(what), summary.baseline.costs.get(what)
        if variant.twin_of is not None and size and budget and abs(off := size / budget - 1) > NEAR:
            yield (
                f"{variant.name} misses the {what} of {summary.baseline.name} by {signed_percent(off)}: "
                "it is no control of equal size."
            )


def detectable_effect(summary: Summary) -> str:
    """The minimum detectable effect by the table's own spread, with as many seeds as there are and with more.

    Empty where most is decided or there is nothing to decide.
    """
    compared = [variant.comparison for variant in summary.variants if variant.comparison and variant.comparison.pairs.n]
    undecided = [each for each in compared if each.judgement.verdict is Verdict.undecided]
    if not compared or 2 * len(undecided) <= len(compared):
        return ""
    seeds = max(each.pairs.n for each in compared)
    more = WORTH_HAVING if seeds < WORTH_HAVING else 2 * seeds
    spread = median_spread(each.pairs for each in compared)
    if seeds == 1:
        shown = "One seed can show no difference"
    elif spread is None:
        shown = f"{counted(seeds, 'seed')} differ too little, or are too few, to tell what they can show"
    else:
        alpha = ALPHA / sum(each.pairs.testable for each in compared)
        now, then = (_least(summary.metric, detectable_difference(n, spread, alpha)) for n in (seeds, more))
        shown = f"{counted(seeds, 'seed')} can show {now} here, {more} seeds {then} (power {POWER})"
    if not summary.question.sweep.command:
        return f"{shown}."
    known = summary.question.ablation.seeds
    new = islice((seed for seed in count() if seed not in known), max(0, more - len(known)))
    return f"{shown}; seed={','.join(map(str, sorted([*known, *new])))} runs what is missing."


def _least(metric: Metric, least: float) -> str:
    if metric.is_fraction and least > 100:
        return "no difference"
    return f"differences from about {significant(least, 2)}{metric.points_suffix} on"


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
        margin = f"{number(first.smallest_effect, 2)}{first.metric.points_suffix}"
        yield f"Smallest effect that matters: {margin} (two one-sided tests, Holm)."
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
        yield (
            f"Mixed code{of}: {OTHER_CODE} marks rows whose code is not the baseline's; "
            "their differences may come from that."
        )
    elif len(commits) > 1:
        yield f"Runs of {len(commits)} commits ({', '.join(commits)}) whose code is the same."
    elif commits:
        yield f"Commit {commits[0]}."
    elif codes:
        yield f"No commit; code {codes[0][:10]}."
    mixed: dict[str, set[str]] = {}
    for summary in summaries:
        for name, versions in summary.libraries.items():
            mixed.setdefault(name, set()).update(versions)
    if mixed:
        every = "; ".join(f"{name} {' and '.join(sorted(each))}" for name, each in mixed.items())
        yield (
            f"Mixed libraries ({every}): {OTHER_LIBRARIES} marks rows whose libraries are not the baseline's; "
            "their differences may come from that."
        )


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
