"""The table of an ablation, of several in one, and of one on several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terminator.analysis.metrics import metric
from terminator.analysis.results import own_settings
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.details import cost_cell
from terminator.analysis.tables.notes import OTHER_CODE, OTHER_LIBRARIES, advice, notes
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, bracketed, number, places, verdict_text
from terminator.errors import UserError
from terminator.text import counted

DIFFERENCE_DATA = (
    "difference", "difference_low", "difference_high", "difference_std", "pairs", "effect_size",
    "p", "p_holm", "p_sign_flip", "p_equivalence_holm",
)  # fmt: skip


def ablation_table(summaries: Sequence[Summary], extra: Sequence[str] = ()) -> Table:
    """Name, mean, difference and verdict; a section for each ablation; a column for the means of each `extra` metric.

    Raises UserError where the ablations are judged by different metrics or run on different data.
    """
    first = summaries[0]
    for summary in summaries[1:]:
        _check_alike(first, summary)
    columns = (
        Column("Variant", numeric=False),
        Column(f"{first.metric.heading}, mean ± std (n)"),
        Column(f"Difference{first.metric.points_heading} [95\u00a0%]"),
        Column("Verdict", numeric=False),
        *(Column(metric(name).heading, spare=1) for name in extra),
    )
    of_mean, of_difference = places(summaries)
    sections = tuple(
        Section(
            title=summary.name if len(summaries) > 1 else "",
            rows=tuple(
                (
                    _name_cell(summary, variant),
                    metric_cell(summary, variant, of_mean),
                    *difference_cells(summary, variant, of_difference),
                    *(cost_cell(variant, None, name) for name in extra),
                )
                for variant in summary.variants
            ),
        )
        for summary in summaries
    )
    names = [summary.name for summary in summaries]
    title = (first.question.ablation.question if len(summaries) == 1 else "; ".join(names)) or names[0]
    title = f"{title} ({first.dataset})"
    if len(summaries) == 1 and first.headline:
        title = f"{first.headline}.\n{title}"
    return Table("+".join(names), title, columns, sections, tuple(notes(summaries)), advice=tuple(advice(summaries)))


def datasets_table(summaries: Sequence[Summary]) -> Table:
    """The same ablation's summaries, a group of columns for each data set; variants in the order of the first.

    Raises UserError where they are judged by different metrics or two are of one data set.
    """
    first = summaries[0]
    datasets = [summary.dataset for summary in summaries]
    if len(set(datasets)) < len(datasets):
        raise UserError(f"ablation={first.name}: {datasets[0]} twice; give every data set once")
    if len({summary.metric.name for summary in summaries}) > 1:
        raise UserError(f"ablation={first.name}: judged by different metrics; choose one with metric=")
    columns = [Column("Variant", numeric=False)]
    for summary in summaries:
        columns += [
            Column(f"{summary.metric.heading}, mean ± std (n)", group=summary.dataset),
            Column(f"Difference{summary.metric.points_heading} [95\u00a0%]", group=summary.dataset),
            Column("Verdict", numeric=False, group=summary.dataset),
        ]
    names = dict.fromkeys(variant.name for summary in summaries for variant in summary.variants)
    rows = tuple(
        (Cell(name, {"variant": name}), *(cell for summary in summaries for cell in _dataset_cells(summary, name)))
        for name in names
    )
    label = f"{first.name}-{'+'.join(datasets)}"
    title = first.question.ablation.question or first.name
    said, typed_next = tuple(notes(summaries)), tuple(advice(summaries))
    return Table(label, title, tuple(columns), (Section("", rows),), said, advice=typed_next)


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


def difference_cells(summary: Summary, variant: VariantSummary, places: int) -> tuple[Cell, Cell]:
    """The difference with its interval, and the verdict."""
    comparison = variant.comparison
    is_cell = summary.is_screen and comparison is not None and bool(variant.values)
    verdict = NOTHING if is_cell else verdict_text(variant)
    if comparison is None:
        return Cell(NOTHING, dict.fromkeys(DIFFERENCE_DATA), 0.0), Cell(verdict, {"verdict": verdict})
    pairs, interval, judgement = comparison.pairs, comparison.interval, comparison.judgement
    text = number(pairs.mean, places, sign=True)
    if interval is not None:
        text += f" {bracketed(interval, places)}"
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
    judged = {"verdict": judgement.verdict.value, "bound": judgement.bound, "note": judgement.note}
    return (
        Cell(text, dict(zip(DIFFERENCE_DATA, raw, strict=True)), _known(pairs.mean)),
        Cell(verdict, judged, missing=not variant.values),
    )


def _name_cell(summary: Summary, variant: VariantSummary) -> Cell:
    """The variant's name; a size-matched control stands under its variant."""
    shown = f"↳ {variant.name}" if variant.twin_of is not None else variant.name
    shown += "" if variant.same_code else f" {OTHER_CODE}"
    shown += "" if variant.same_libraries else f" {OTHER_LIBRARIES}"
    data = {
        "ablation": summary.name,
        "dataset": summary.dataset,
        "variant": variant.name,
        "twin_of": variant.twin_of,
        "settings": " ".join(own_settings(summary.question.sweep)),
        "caveats": " ".join(variant.caveats),
    }
    return Cell(shown, data)


def _dataset_cells(summary: Summary, name: str) -> list[Cell]:
    variant = next((variant for variant in summary.variants if variant.name == name), None)
    if variant is None:
        return [Cell(NOTHING)] * 3
    of_mean, of_difference = places([summary])
    difference, verdict = difference_cells(summary, variant, of_difference)
    return [
        replace(cell, data={f"{summary.dataset}_{key}": value for key, value in cell.data.items()})
        for cell in (metric_cell(summary, variant, of_mean), difference, verdict)
    ]


def _check_alike(first: Summary, other: Summary) -> None:
    names = f"ablation={first.name},{other.name}"
    if first.metric != other.metric:
        raise UserError(f"{names}: judged by {first.metric.name} and by {other.metric.name}; choose one with metric=")
    if first.dataset != other.dataset:
        raise UserError(f"{names}: run on {first.dataset} and on {other.dataset}; choose one with dataset=")


def _known(value: float) -> float | None:
    return None if value != value else value
