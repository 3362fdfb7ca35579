"""Tables with a row a variant: of an ablation, of several, on several data sets, tuned, and of what seeds draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan

from terminator.analysis.metrics import metric
from terminator.analysis.results import own_settings
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.details import cost_cell
from terminator.analysis.tables.notes import OTHER_CODE, OTHER_LIBRARIES, advice, notes
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, bracketed, number, places, verdict_text
from terminator.errors import UserError
from terminator.ledger import Ablation
from terminator.text import counted

DIFFERENCE_DATA = (
    "difference", "difference_low", "difference_high", "difference_std", "pairs", "effect_size",
    "p", "p_holm", "p_sign_flip", "p_equivalence_holm",
)  # fmt: skip
AT_EDGE = "(edge)"
EDGE_NOTE = f"{AT_EDGE}: at an end of its grid; a wider grid may hold a better one."


def ablation_table(summaries: Sequence[Summary], extra: Sequence[str] = ()) -> Table:
    """Name, mean, difference and verdict; a section for each ablation; a column for the means of each `extra` metric,
    and of a tuned ablation alone one for each key with the values that were chosen.

    Raises UserError where the ablations are judged by different metrics or run on different data.
    """
    first = summaries[0]
    for summary in summaries[1:]:
        _check_alike(first, summary)
    chosen = _chosen(first) if len(summaries) == 1 else {}
    columns = (
        Column("Variant", numeric=False),
        Column(f"{first.metric.heading}, mean ± std (n)"),
        Column(f"Difference{first.metric.points_heading} [95\u00a0%]"),
        Column("Verdict", numeric=False),
        *(Column(key) for key in first.question.tuned_keys if chosen),
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
                    *chosen.get(variant.name, ()),
                    *(cost_cell(variant, None, name) for name in extra),
                )
                for variant in summary.variants
            ),
        )
        for summary in summaries
    )
    names = [summary.name for summary in summaries]
    title = _title(first) if len(summaries) == 1 else f"{'; '.join(names)} ({first.dataset})"
    said = (*([EDGE_NOTE] if chosen else []), *notes(summaries))
    return Table("+".join(names), title, columns, sections, said, advice=tuple(advice(summaries)))


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
    rows = {
        variant.name: [Cell(variant.name, {"variant": variant.name})]
        for summary in summaries
        for variant in summary.variants
    }
    for summary in summaries:
        columns += _group_columns(summary, summary.dataset)
        for name, row in rows.items():
            row += _group_cells(summary, name, summary.dataset, places([summary]))
    label = f"{first.name}-{'+'.join(datasets)}"
    title = first.question.title()
    said, typed_next = tuple(notes(summaries)), tuple(advice(summaries))
    sections = (Section("", tuple(map(tuple, rows.values()))),)
    return Table(label, title, tuple(columns), sections, said, advice=typed_next)


def is_tuned(untuned: Summary, tuned: Summary) -> bool:
    """Whether both are of one sweep, in which the second was tuned and the first was not."""
    sweep, by = tuned.question.sweep, tuned.question.ablation.tuned_by
    names = [each.name for each in sweep.ablations]
    return untuned.question.sweep.id == sweep.id and by in names and names[names.index(by) - 1] == untuned.name


def tuned_table(untuned: Summary, tuned: Summary) -> Table:
    """A row a variant: the chosen settings, then difference and verdict without and with tuning; means in CSV alone."""
    columns = [Column("Variant", numeric=False), *map(Column, tuned.question.tuned_keys)]
    chosen = _chosen(tuned)
    rows = {
        name: [Cell(name, {"variant": name}), *chosen[name]] for name in (variant.name for variant in tuned.variants)
    }
    for group, summary in (("untuned", untuned), ("tuned", tuned)):
        columns += _group_columns(tuned, group)[1:]
        for name, row in rows.items():
            mean, difference, verdict = _group_cells(summary, name, group, places([untuned, tuned]))
            row += [replace(difference, data={**mean.data, **difference.data}), verdict]
    notes = (EDGE_NOTE, *_worse_tuned(untuned, tuned), *tuned.remarks)
    title = f"{untuned.name}: without and with tuning ({tuned.dataset})"
    sections = (Section("", tuple(map(tuple, rows.values()))),)
    return Table(f"{untuned.name}+tuned", title, tuple(columns), sections, notes)


def _worse_tuned(untuned: Summary, tuned: Summary) -> list[str]:
    """A sentence on the rows that lost by tuning more than what matters: their grids have nothing good enough."""
    before, sign = {each.name: each.mean for each in untuned.variants}, 1 if tuned.higher_is_better else -1
    of_mean, _ = places([untuned, tuned])
    lost = [
        f"{each.name} ({number(each.mean, of_mean)} against {number(before[each.name], of_mean)})"
        for each in tuned.variants
        if sign * (before.get(each.name, nan) - each.mean) > tuned.smallest_effect
    ]
    what = f"Worse tuned than untuned: {', '.join(lost)}; a grid that holds the untuned value cannot lose much."
    return [what] if lost else []


def variance_table(summary: Summary) -> Table:
    """A row a variant: what its seeds draw, mean, standard deviation, and its variance as a share of the baseline's."""
    of_mean, _ = places([summary])
    columns = (
        Column("Variant", numeric=False),
        Column("Seeds draw", numeric=False),
        Column(f"{summary.metric.heading}, mean ± std (n)"),
        Column(f"Std{summary.metric.points_heading} [95\u00a0%]"),
        Column("Share of variance (%) [95\u00a0%]"),
    )
    all_of_them = summary.baseline.name
    rows = tuple(
        (
            Cell(variant.name, {"variant": variant.name}),
            Cell(", ".join(variant.drawn) or "nothing"),
            metric_cell(summary, variant, of_mean),
            *_spread_cells(variant, of_mean + 1, is_all=variant.name == all_of_them),
        )
        for variant in summary.variants
    )
    said = (
        f"Share of variance: of that of {all_of_them}; what several sources do only together is in the share "
        "of each of them. Intervals hold for normal results.",
        *notes([summary]),
    )
    return Table(summary.name, _title(summary), columns, (Section("", rows),), said)


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


def _title(summary: Summary) -> str:
    """The headline, if there is one, over the question."""
    question = summary.question.title(summary.dataset)
    return f"{summary.headline}.\n{question}" if summary.headline else question


def _group_columns(summary: Summary, group: str) -> list[Column]:
    return [
        Column(f"{summary.metric.heading}, mean ± std (n)", group=group),
        Column(f"Difference{summary.metric.points_heading} [95\u00a0%]", group=group),
        Column("Verdict", numeric=False, group=group),
    ]


def _group_cells(summary: Summary, name: str, group: str, decimals: tuple[int, int]) -> list[Cell]:
    """Those of a variant under `_group_columns`; their data are named after the group, too."""
    variant = next((variant for variant in summary.variants if variant.name == name), None)
    if variant is None:
        return [Cell(NOTHING)] * 3
    of_mean, of_difference = decimals
    return [
        replace(cell, data={f"{group}_{key}": value for key, value in cell.data.items()})
        for cell in (metric_cell(summary, variant, of_mean), *difference_cells(summary, variant, of_difference))
    ]


def _check_alike(first: Summary, other: Summary) -> None:
    names = f"ablation={first.name},{other.name}"
    if first.metric != other.metric:
        raise UserError(f"{names}: judged by {first.metric.name} and by {other.metric.name}; choose one with metric=")
    if first.dataset != other.dataset:
        raise UserError(f"{names}: run on {first.dataset} and on {other.dataset}; choose one with dataset=")


def _known(value: float) -> float | None:
    return None if value != value else value


def _chosen(summary: Summary) -> dict[str, list[Cell]]:
    """Variant → the values that were chosen for it, a cell for each key; empty of an ablation that was not tuned."""
    tuning, keys = summary.question.tuning, summary.question.tuned_keys
    variants = summary.question.ablation.variants if tuning is not None else ()
    return {each.name: [_chosen_cell(key, each.overrides[key], tuning) for key in keys] for each in variants if tuning}


def _chosen_cell(key: str, value: float, tuning: Ablation) -> Cell:
    """The value, marked where it is the smallest or the largest of those tried."""
    tried = [each.factors[key] for each in tuning.variants]
    is_edge = value in (min(tried), max(tried))
    return Cell(f"{value:g}" + (f" {AT_EDGE}" if is_edge else ""), {key: value, f"{key}_at_edge": str(is_edge)}, value)


def _spread_cells(variant: VariantSummary, places: int, *, is_all: bool) -> tuple[Cell, Cell]:
    spread = variant.spread
    if spread is None or spread.interval is None:
        return Cell(NOTHING), Cell(NOTHING)
    low, high = spread.interval.low, spread.interval.high
    text = f"{number(spread.std, places)} [{number(low, places)},\u00a0{number(high, places)}]"
    std = Cell(text, {"std": spread.std, "std_low": low, "std_high": high}, spread.std)
    if is_all or isnan(spread.share):
        return std, Cell(NOTHING)
    share, interval = 100 * spread.share, spread.share_interval
    data = {"share_percent": share, "share_low": None, "share_high": None}
    text = number(share, 0)
    if interval is not None:
        data |= {"share_low": 100 * interval.low, "share_high": 100 * interval.high}
        text += f" [{number(100 * interval.low, 0)},\u00a0{number(100 * interval.high, 0)}]"
    return std, Cell(text, data, share)
