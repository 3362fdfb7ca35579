"""What each variant costs: every cost that some run has logged."""

from __future__ import annotations

from analysis.digits import NOTHING, number, significant
from analysis.metrics import metric
from analysis.summary import Summary, VariantSummary
from analysis.tables.table import Cell, Column, Section, Table

COSTS = (
    "parameters",
    "flops",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "energy_joules",
    "convergence_epochs",
)
SHARES = ("parameters", "flops", "train_seconds")


def costs_table(summary: Summary, label: str) -> Table | None:
    """Means over the seeds; in brackets what that is of the baseline's. None where nothing is done."""
    logged = [name for name in COSTS if any(name in variant.costs for variant in summary.variants)]
    baseline = summary.baseline
    rows = tuple(
        (
            Cell(variant.name, {"variant": variant.name}),
            *(cost_cell(variant, summary.baseline, each) for each in logged),
        )
        for variant in summary.variants
        if variant.costs
    )
    if not rows:
        return None
    columns = (Column("Variant", numeric=False), *(Column(metric(name).heading) for name in logged))
    notes = (
        f"Means over the seeds; in brackets as a share of {baseline.name}. FLOPs: forward, one image, a "
        "multiplication and an addition each. Times are those of the machines that the runs happened to have.",
    )
    title = f"{summary.question.name}: costs ({summary.dataset})"
    return Table(f"{label}-costs", title, columns, (Section("", rows),), notes, repeats=True)


def cost_cell(variant: VariantSummary, baseline: VariantSummary | None, name: str) -> Cell:
    """A cost in its shown unit; with a `baseline`, as a share of its own, too."""
    value = variant.costs.get(name)
    if value is None:
        return Cell(NOTHING, {name: None})
    shown = value * metric(name).scale
    text = number(shown, 0) if name == "parameters" else significant(shown)
    whole = baseline.costs.get(name) if baseline is not None and name in SHARES else None
    if whole and variant is not baseline:
        text += f" ({value / whole:.0%})"
    return Cell(text, {name: value}, value)
