"""What a reader must know to trust a table: how it was made, what is missing, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.digits import number
from analysis.summary import Summary
from analysis.tables.effects import why_no_effects
from analysis.tables.reach import reach
from analysis.tables.table import TIE
from analysis.tables.twins import far_twins


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
