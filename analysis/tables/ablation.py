"""The table of an ablation, or of several in one."""

from __future__ import annotations

from collections.abc import Sequence

from terminator.analysis.metrics import metric
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.costs import cost_cell
from terminator.analysis.tables.notes import notes
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, decimals, number, p_value, verdict_words
from terminator.errors import UserError
from terminator.text import counted

COSTS_BEFORE = ("parameters", "flops")
COSTS_AFTER = ("train_seconds",)
DIFFERENCE_DATA = (
    "difference", "difference_low", "difference_high", "difference_std", "pairs", "effect_size",
    "p", "p_holm", "p_sign_flip", "p_equivalence_holm",
)  # fmt: skip


def ablation_table(summaries: Sequence[Summary], extra: Sequence[str] = ()) -> Table:
    """A section for each ablation; `extra` metrics get a column of their means each.

    Raises UserError where the ablations are judged by different metrics or run on different data.
    """
    first = summaries[0]
    for summary in summaries[1:]:
        _check_alike(first, summary)
    after = [*COSTS_AFTER, *(name for name in extra if name not in (*COSTS_BEFORE, *COSTS_AFTER))]
    points = f" ({first.metric.points})" if first.metric.points else ""
    columns = (
        Column("Variant", numeric=False),
        *(Column(metric(name).heading, spare=2) for name in COSTS_BEFORE),
        Column(f"{first.metric.heading}, mean ± std (n)"),
        Column(f"Difference{points} [95\u00a0%]"),
        Column("p (Holm)", spare=1),
        Column("Verdict", numeric=False),
        *(Column(metric(name).heading, spare=3) for name in after),
    )
    metric_places = decimals([variant.std for summary in summaries for variant in summary.variants])
    difference_places = decimals(
        [width for summary in summaries for width in summary.half_widths()], default=metric_places
    )
    sections = tuple(
        Section(
            title=summary.question.name if len(summaries) > 1 else "",
            rows=tuple(
                (
                    name_cell(summary, variant),
                    *(cost_cell(variant, None, name) for name in COSTS_BEFORE),
                    metric_cell(summary, variant, metric_places),
                    *difference_cells(summary, variant, difference_places),
                    *(cost_cell(variant, None, name) for name in after),
                )
                for variant in summary.variants
            ),
        )
        for summary in summaries
    )
    label = "+".join(summary.question.name for summary in summaries)
    title = first.question.text if len(summaries) == 1 else "; ".join(summary.question.name for summary in summaries)
    return Table(label, f"{title or label} ({first.dataset})", columns, sections, tuple(notes(summaries)))


def name_cell(summary: Summary, variant: VariantSummary) -> Cell:
    """The variant's name; a twin is set under its variant."""
    shown = f"↳ {variant.name}" if variant.twin_of is not None else variant.name
    mark = "" if variant.same_code else " ‡"
    data = {"ablation": summary.question.name, "dataset": summary.dataset, "variant": variant.name}
    said = {"settings": " ".join(summary.question.settings), "caveats": " ".join(variant.caveats)}
    return Cell(shown + mark, {**data, "twin_of": variant.twin_of, **said})


def metric_cell(summary: Summary, variant: VariantSummary, places: int) -> Cell:
    """mean ± std (n), in the metric's shown unit."""
    planned = variant.n + len(variant.missing)
    name = f"{summary.metric.name}_percent" if summary.metric.is_fraction else summary.metric.name
    moments = {f"{name}_mean": _known(variant.mean), f"{name}_std": _known(variant.std)}
    data = {**moments, "n": variant.n, "planned": planned}
    if not variant.values:
        return Cell(variant.lost, data, missing=True)
    spread = f"\u00a0±\u00a0{number(variant.std, places)}" if variant.n > 1 else ""
    count = f"({variant.n})" if not variant.missing else f"({variant.n}\u00a0of\u00a0{planned})"
    text = f"{number(variant.mean, places)}{spread} {count}"
    return Cell(text, data, variant.mean, best=variant.best, tied=variant.tied, missing=bool(variant.missing))


def difference_cells(summary: Summary, variant: VariantSummary, places: int) -> tuple[Cell, Cell, Cell]:
    """The difference with its interval, p, and the verdict."""
    verdict = verdict_words(variant)
    comparison = variant.comparison
    if comparison is None:
        return Cell(NOTHING, dict.fromkeys(DIFFERENCE_DATA), 0.0), Cell(NOTHING), Cell(verdict, {"verdict": verdict})
    pairs, interval, judgement = comparison.pairs, comparison.interval, comparison.judgement
    text = number(pairs.mean, places, sign=True)
    if interval is not None:
        text += f" [{number(interval.low, places, sign=True)},\u00a0{number(interval.high, places, sign=True)}]"
    if 0 < pairs.n < variant.n:
        text += f" ({counted(pairs.n, 'pair')})"
    raw = (
        _known(pairs.mean),
        interval.low if interval else None,
        interval.high if interval else None,
        _known(pairs.spread),
        pairs.n,
        comparison.effect_size,
        comparison.p_raw,
        comparison.p_difference,
        comparison.p_sign_flip,
        comparison.p_equivalence,
    )
    return (
        Cell(text, dict(zip(DIFFERENCE_DATA, raw, strict=True)), _known(pairs.mean)),
        Cell(p_value(comparison.p_difference), sort=comparison.p_difference),
        Cell(
            verdict,
            {"verdict": judgement.verdict.value, "more_seeds": judgement.more_seeds, "note": judgement.note},
            missing=not variant.values,
        ),
    )


def _check_alike(first: Summary, other: Summary) -> None:
    names = f"ablation={first.question.name},{other.question.name}"
    if first.metric != other.metric:
        raise UserError(f"{names}: judged by {first.metric.name} and by {other.metric.name}; choose one with metric=")
    if first.dataset != other.dataset:
        raise UserError(f"{names}: run on {first.dataset} and on {other.dataset}; choose one with dataset=")


def _known(value: float) -> float | None:
    return None if value != value else value
