"""What a reader must know to trust a table: how it was made, what is missing, what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from terminator.analysis.images import collapse_note
from terminator.analysis.statistics.looks import next_look
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.summary import Summary
from terminator.analysis.tables.details import why_no_effects
from terminator.analysis.tables.screen import why_no_screen
from terminator.analysis.tables.table import TIE
from terminator.analysis.text import number, significant
from terminator.ledger import Look, LookPlan
from terminator.text import NEAR, counted, signed_percent

OTHER_CODE, OTHER_LIBRARIES = "‡", "§"
MISSING = "Missing: "  # how the notes on runs without a result begin


def notes(summaries: Sequence[Summary]) -> Iterator[str]:
    """The notes under a table, the general ones first."""
    yield from _method(summaries)
    yield from dict.fromkeys(remark for summary in summaries for remark in summary.remarks)
    yield from _provenance(summaries)
    yield from dict.fromkeys(note for summary in summaries for note in off_budget(summary))
    for why in filter(None, map(why_no_effects, summaries)):
        yield f"No main effects and interactions: {why}."
    for why in filter(None, map(why_no_screen, summaries)):
        yield f"No main effects: {why}."
    for summary in summaries:
        whose = summary.name if len(summaries) > 1 else ""
        for note in standing(summary):
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


def standing(summary: Summary) -> Iterator[str]:
    """The look that the table stands at, and the noise of the finite test set."""
    question = summary.question
    compared = [variant for variant in summary.variants if variant.comparison is not None]
    if not compared or (summary.is_screen and not summary.judged):
        return
    if question.looks is None or not summary.is_own_metric:
        if any(variant.comparison and variant.comparison.interval for variant in summary.judged):
            yield "Judged as one look at all seeds: the error rate holds if no other look was taken."
    elif question.looks:
        yield f"{looked_at(question.looks, question.plan)}."
    elif question.plan is not None:
        yield f"No look yet: the first takes {counted(question.plan.seeds[0], 'seed')}; until then nothing is tested."
    if summary.test_noise is not None:
        told = [each.comparison.pairs for each in compared if each.comparison and not each.all_collapsed]
        spread, out = median_spread(told), len(compared) - len(told)
        without = f"; without {counted(out, 'variant')} that collapsed" if out else ""
        seeds = f"; one seed's differences have a spread of {_amount(summary, spread)}" if spread else ""
        yield (
            f"Other test images, as many ({summary.test_images:,}), would move a difference by about "
            f"{_amount(summary, summary.test_noise)} (standard error, in no interval){seeds}{without}."
        )


def looked_at(looks: Sequence[Look], plan: LookPlan | None) -> str:
    """`Look 2 of 5 planned: 5 seeds, α = 1.1 %`."""
    last = looks[-1]
    spent = f"{counted(len(last.seeds), 'seed')}, α = {100 * last.alpha:.2g} %"
    if plan is None:
        return f"Look {last.number}: {spent}"
    if last.planned:
        return f"Look {plan.seeds.index(len(last.seeds)) + 1} of {len(plan.seeds)} planned: {spent}"
    return f"Look {last.number}, beyond the plan of {len(plan.seeds)}: {spent}"


def advice(summaries: Sequence[Summary]) -> Iterator[str]:
    """What to type for the next look, with its cost: for whoever runs the sweep, not for the readers of a paper."""
    for summary in summaries:
        for line in _next_look(summary):
            yield f"{summary.name}: {line}" if len(summaries) > 1 else line


def _next_look(summary: Summary) -> Iterator[str]:
    question = summary.question
    if not question.looks or question.plan is None or not summary.is_own_metric:
        return
    with_results = [each.name for each in summary.judged if each.values]
    step = next_look(question.plan, question.looks, with_results, question.ablation.plan.seeds)
    if step is None:
        return
    seeds = question.ablation.first_seeds(step.seeds)
    all_rows = summary.is_screen  # an effect takes every cell
    rows = [each for each in summary.variants if all_rows or each.comparison is None or each.name in step.variants]
    done = [each.values.keys() | {lost.seed for lost in each.missing if lost.state == "done"} for each in rows]
    runs = sum(seed not in each for each in done for seed in seeds)
    known = [each.costs["train_seconds"] for each in rows if "train_seconds" in each.costs]
    cost = f", about {significant(sum(known) / len(known), 2)} s each" if known else ""
    typed = f"seed={','.join(map(str, seeds))}" if summary.is_screen else f"ablation.looks=[{step.seeds}]"
    most = question.sweep.most_looks
    same = "the same command" + (" with more in sweep.looks" if most is not None and step.number > most else "")
    reserve = "" if step.seeds in question.plan.seeds else ", from the reserve"
    how = f"{same if step.asked_for else typed} runs it{reserve}"
    if question.sweep.command:
        yield f"Next look: {counted(step.seeds, 'seed')}, {counted(runs, 'more run')}{cost}; {how}."


def _amount(summary: Summary, value: float) -> str:
    return f"{significant(value, 2)}{summary.metric.points_suffix}"


def _method(summaries: Sequence[Summary]) -> Iterator[str]:
    first = summaries[0]
    baselines = ", ".join(dict.fromkeys(summary.baseline.name for summary in summaries))
    compared = [variant.comparison for summary in summaries for variant in summary.variants if variant.comparison]
    if any(each.interval for each in compared):
        yield (
            f"Difference: from {baselines}, paired by seed, with a t interval that holds the true one with 95 % at "
            "whichever look a row stops; verdict: paired t-test, corrected over the variants (Holm) and the looks."
        )
    elif compared:
        tested = "main effects are tested, cells are not" if first.is_screen else "nothing is tested yet"
        yield f"Difference: from {baselines}, paired by seed; {tested}."
    if compared and not first.higher_is_better:
        yield f"Less {first.metric.title.lower()} is better."
    if first.smallest_effect and compared:
        margin = f"{number(first.smallest_effect, 2)}{first.metric.points_suffix}"
        yield f"Smallest effect that matters: {margin} (two one-sided tests, Holm)."
    if any(each.judgement.bound is not None for each in compared):
        yield "Undecided (±b): at most b either way, the farther end of the interval."
    if any(variant.best for summary in summaries for variant in summary.variants):
        tied = any(variant.tied for summary in summaries for variant in summary.variants)
        yield f"Bold: the best difference{f'; {TIE}: not told apart from it' if tied else ''}."


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
        yield f"{MISSING}{prefix}{line}."
    notes: dict[str, list[str]] = {}
    for variant in summary.variants:
        comparison = variant.comparison
        if comparison is None and variant.collapsed:
            yield f"{prefix}{variant.name}: {collapse_note(variant.collapsed, variant.n)}."
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
        yield f"{prefix}{whose}: {note}."
