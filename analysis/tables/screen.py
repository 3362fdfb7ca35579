"""A screen's table: main effects with verdicts and Shapley shares, their total, and the interactions it cannot part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from terminator.analysis.measured import logits, own_collapse
from terminator.analysis.results import own_settings
from terminator.analysis.statistics.factorial import Effect, Shares, shapley
from terminator.analysis.statistics.tests import Pairs, holm, t_interval, t_test
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.details import estimate_cell
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, decimals, number, p_value, verdict_text
from terminator.ledger import Interval
from terminator.text import counted


def screen_table(summary: Summary, label: str) -> Table | None:
    """A row a switch, then the total and the interactions; None of no screen, or where no seed has every cell."""
    if summary.effects is None:
        return None
    judged = summary.judged
    on_logits = summary.effects.metric != summary.metric
    found = summary.factor_effects()
    main, pairs = [each for each in found if len(each.factors) == 1], [each for each in found if len(each.factors) > 1]
    level = _level(summary)
    shares = shapley([each.pairs for each in main], level)
    p_values = holm({str(place): t_test(each.pairs) for place, each in enumerate(pairs)})
    intervals = main_intervals(summary)
    others_too = [*intervals.values(), *(t_interval(each.pairs) for each in pairs)]
    places = decimals(each.half_width for each in others_too if each)
    columns = [
        Column("Switched off", numeric=False, long=True),
        Column(f"Effect{summary.metric.points_heading} [95\u00a0%]"),
    ]
    columns += [Column("Effect (logits) [95\u00a0%]")] if on_logits else []
    columns += [Column("Share (%) [95\u00a0%]"), Column("p (Holm)"), Column("Verdict", numeric=False)]
    rows = [
        _main_row(summary, row, each.pairs, intervals[row.name], share, places, on_logits)
        for row, each, share in zip(judged, main, shares.shares, strict=True)
    ]
    blank = [Cell(NOTHING)] if on_logits else []
    whole, around = _name_cell(summary, "all of them", "total"), t_interval(shares.total, level)
    hundred = Cell("100" if any(shares.shares) else NOTHING)
    rows.append((whole, _effect_cell(shares.total, around, places), *blank, hundred, Cell(NOTHING), Cell(NOTHING)))
    others = [
        (
            _name_cell(summary, name := _name(each), name),
            _effect_cell(each.pairs, t_interval(each.pairs), places),
            *blank,
            Cell(NOTHING),
            Cell(p_value(p := p_values[str(place)]), {"p_holm": p}, p),
            Cell(NOTHING),
        )
        for place, each in enumerate(pairs)
    ]
    sections = (Section("Main effects", tuple(rows)), Section("Interactions, not judged", tuple(others)))
    title = f"{summary.headline}.\n" if summary.headline else ""
    title += f"{summary.name}: main effects and Shapley shares ({summary.dataset})"
    return Table(f"{label}-screen", title, tuple(columns), sections, tuple(_notes(summary, shares, pairs, on_logits)))


def main_intervals(summary: Summary) -> dict[str, Interval | None]:
    """A screen's switches → the intervals of their effects in the metric's own unit, for its table and its figure.

    Those that the effects were judged by, or, where that was in logits, at the same level. None without a spread.
    """
    assert summary.effects is not None
    if summary.effects.metric == summary.metric:
        return {row.name: row.comparison.interval for row in summary.judged if row.comparison is not None}
    main = [each for each in summary.factor_effects() if len(each.factors) == 1]
    return {each.factors[0]: t_interval(each.pairs, _level(summary)) for each in main}


def _level(summary: Summary) -> float:
    """That of the intervals of the main effects, which is the look's."""
    found = (each.comparison.interval for each in summary.judged if each.comparison is not None)
    return next((each.level for each in found if each is not None), 0.95)


def why_no_screen(summary: Summary) -> str:
    """Why a screen has no effects; empty where it has, or is none."""
    if not summary.is_screen or summary.effects is not None:
        return ""
    lost = [variant.name for variant in summary.variants if not variant.values]
    if lost:
        return f"{counted(len(lost), 'cell')} of {len(summary.variants)} without a result: {'; '.join(lost)}"
    return "no seed has a result in every cell"


def _own_collapse(summary: Summary) -> str:
    """What the worst cell lost by itself, as a note; empty for nothing."""
    crossed = summary.crossing
    assert crossed is not None
    values = {variant.name: logits(variant.values, summary.test_images) for variant in summary.variants}
    every = set.intersection(*map(set, values.values()))
    cells = {cell: {seed: values[name][seed] for seed in every} for cell, name in crossed.cells.items()}
    collapsed = own_collapse(cells, crossed, summary.higher_is_better)
    if collapsed is None:
        return ""
    cell, drop = collapsed
    return (
        f"{crossed.cells[cell]} collapses by itself, by {number(abs(fmean(drop.values())), 1)} logits more than main "
        "effects and interactions of two come to: that is left out of the effects in logits; in points, each effect "
        "and interaction has a part of it."
    )


def _main_row(
    summary: Summary,
    row: VariantSummary,
    pairs: Pairs,
    interval: Interval | None,
    share: tuple[float, Interval] | None,
    places: int,
    on_logits: bool,
) -> tuple[Cell, ...]:
    comparison = row.comparison
    assert comparison is not None
    cells = [_name_cell(summary, row.name, row.name), _effect_cell(pairs, interval, places)]
    if on_logits:
        of_logits = decimals(each.half_width for each in summary.effects.intervals) if summary.effects else 2
        cells.append(estimate_cell("effect_logits", comparison.pairs.mean, comparison.interval, of_logits))
    of_share = decimals([share[1].half_width]) if share else 0
    cells.append(estimate_cell("share_percent", *share, of_share, sign=False) if share else Cell(NOTHING))
    p = comparison.p_difference
    cells.append(Cell(p_value(p), {"p_holm": p, "p_equivalence_holm": comparison.p_equivalence}, p))
    judgement = comparison.judgement
    cells.append(Cell(verdict_text(row), {"verdict": judgement.verdict.value, "bound": judgement.bound}))
    return tuple(cells)


def _name_cell(summary: Summary, shown: str, name: str) -> Cell:
    settings = " ".join(own_settings(summary.question.sweep))
    return Cell(shown, {"ablation": summary.name, "dataset": summary.dataset, "effect": name, "settings": settings})


def _effect_cell(pairs: Pairs, interval: Interval | None, places: int) -> Cell:
    cell = estimate_cell("effect", pairs.mean, interval, places)
    return replace(cell, data={**cell.data, "seeds": pairs.n})


def _name(effect: Effect) -> str:
    """All pairs whose interactions the contrast is the sum of."""
    return " = ".join("×".join(factors) for factors in (effect.factors, *effect.aliases))


def _notes(summary: Summary, shares: Shares, pairs: Sequence[Effect], on_logits: bool) -> list[str]:
    count, switches = len(summary.variants), len(summary.judged)
    notes = [
        f"Effect: mean of the {count // 2} cells with it off less that of the {count // 2} with it on, one contrast a "
        f"seed ({counted(shares.total.n, 'seed')}), with a t interval that holds the true one with 95 % over all "
        "looks, each effect by itself; p: t-test, Holm over main effects and looks."
    ]
    if count < 2**switches:
        notes.append(
            f"{count} of {2**switches:,} combinations: no interaction of two switches is in a main effect, but some of "
            "three or more may be."
        )
    if any(each.aliases for each in pairs):
        notes.append("= joins interactions that these cells cannot tell apart: the row is their sum.")
    notes.append(
        "×: how much more switching one off does where the other is off, too; p: Holm over the interactions, a family "
        "of their own."
    )
    none = next((each for each in summary.variants if each.name == "none"), None)
    measured = f"; measured: {number(none.mean - summary.baseline.mean, 2, sign=True)}" if none and none.n else ""
    notes.append(
        f"Share: the Shapley value in the fitted model, as a part of the total from all on to all off{measured}; the "
        "shares sum to 100 %."
    )
    if on_logits:
        means = {each.name: each.mean for each in summary.variants if each.values}
        worst = (min if summary.higher_is_better else max)(means, key=lambda name: means[name])
        notes.append(
            f"Cells collapse ({worst}: {number(means[worst], 1)} %), so a point is not worth the same in all of them: "
            "verdicts and p are of the effects on the logit scale, log(right / wrong), where effects that act "
            "independently add up; the smallest effect that matters is taken at the baseline's accuracy."
        )
        if alone := _own_collapse(summary):
            notes.append(alone)
    return notes
