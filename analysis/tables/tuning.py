"""An ablation as it is and tuned, side by side."""

from __future__ import annotations

from dataclasses import replace

from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.ablation import difference_cells, metric_cell
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, places
from terminator.ledger import Ablation

AT_EDGE = "(edge)"


def is_tuned(untuned: Summary, tuned: Summary) -> bool:
    """Whether both are of one sweep, in which the second was tuned and the first was not."""
    sweep, by = tuned.question.sweep, tuned.question.ablation.tuned_by
    names = [each.name for each in sweep.ablations]
    return untuned.question.sweep.id == sweep.id and by in names and names[names.index(by) - 1] == untuned.name


def tuned_table(untuned: Summary, tuned: Summary) -> Table:
    """A row a variant: the chosen settings, then difference and verdict without and with tuning; means in CSV alone."""
    tuning, keys = tuned.question.tuning, tuned.question.tuned_keys
    assert tuning is not None
    of_mean, of_difference = places([untuned, tuned])
    columns = [Column("Variant", numeric=False), *(Column(key) for key in keys)]
    for group in ("untuned", "tuned"):
        columns += [
            Column(f"Difference{tuned.metric.points_heading} [95\u00a0%]", group=group),
            Column("Verdict", numeric=False, group=group),
        ]
    without = {variant.name: variant for variant in untuned.variants}
    overrides = {variant.name: variant.overrides for variant in tuned.question.ablation.variants}
    rows = []
    for variant in tuned.variants:
        cells = [Cell(variant.name, {"variant": variant.name})]
        cells += [_chosen_cell(key, overrides[variant.name][key], tuning) for key in keys]
        for group, summary, one in (("untuned", untuned, without.get(variant.name)), ("tuned", tuned, variant)):
            cells += _cells(group, summary, one, of_mean, of_difference)
        rows.append(tuple(cells))
    notes = (f"{AT_EDGE}: at an end of its grid; a wider grid may hold a better one.", *tuned.remarks)
    title = f"{untuned.name}: without and with tuning ({tuned.dataset})"
    return Table(f"{untuned.name}+tuned", title, tuple(columns), (Section("", tuple(rows)),), notes)


def _cells(
    group: str, summary: Summary, variant: VariantSummary | None, of_mean: int, of_difference: int
) -> list[Cell]:
    if variant is None:
        return [Cell(NOTHING)] * 2
    mean, (difference, verdict) = (
        metric_cell(summary, variant, of_mean),
        difference_cells(summary, variant, of_difference),
    )
    data = ({**mean.data, **difference.data}, verdict.data)
    return [
        replace(cell, data={f"{group}_{key}": value for key, value in own.items()})
        for cell, own in zip((difference, verdict), data, strict=True)
    ]


def _chosen_cell(key: str, value: float, tuning: Ablation) -> Cell:
    """The value, marked where it is the smallest or the largest of those tried."""
    tried = [each.factors[key] for each in tuning.variants]
    is_edge = value in (min(tried), max(tried))
    return Cell(f"{value:g}" + (f" {AT_EDGE}" if is_edge else ""), {key: value, f"{key}_at_edge": str(is_edge)}, value)
