"""What goes with an ablation's table: all tests behind each verdict, effects of crossed factors, and costs."""

from __future__ import annotations

from math import isnan

from terminator.analysis.factors import Crossing
from terminator.analysis.metrics import metric
from terminator.analysis.statistics.factorial import Effect
from terminator.analysis.statistics.tests import TRUSTED_PAIRS, bca_interval, smallest_p
from terminator.analysis.statistics.verdict import Comparison
from terminator.analysis.summary import Summary, VariantSummary
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, bracketed, decimals, number, p_value, places, significant
from terminator.errors import UserError
from terminator.ledger import Interval
from terminator.text import counted

COSTS = (
    "parameters",
    "flops",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "energy_joules",
    "convergence_epochs",
)
RELATIVE = ("parameters", "flops", "train_seconds")


def costs_table(summary: Summary, label: str) -> Table | None:
    """Means over the seeds of every cost that some run has logged; in brackets what that is of the baseline's.

    None where nothing is done.
    """
    logged = [name for name in COSTS if any(name in variant.costs for variant in summary.variants)]
    rows = tuple(
        (
            Cell(variant.name, {"variant": variant.name}),
            *(cost_cell(variant, summary.baseline, name) for name in logged),
        )
        for variant in summary.variants
        if variant.costs
    )
    if not rows:
        return None
    columns = (Column("Variant", numeric=False), *(Column(metric(name).heading) for name in logged))
    notes = (
        f"Means over the seeds; in brackets as a share of {summary.baseline.name}. FLOPs: forward, one image, a "
        "multiplication and an addition each. Times are those of the machines that the runs happened to have.",
    )
    title = f"{summary.name}: costs ({summary.dataset})"
    return Table(f"{label}-costs", title, columns, (Section("", rows),), notes, repeats=True)


def cost_cell(variant: VariantSummary, baseline: VariantSummary | None, name: str) -> Cell:
    """A cost in its shown unit; with a `baseline`, as a share of its own, too."""
    value = variant.costs.get(name)
    if value is None:
        return Cell(NOTHING, {name: None})
    if isnan(value):
        return Cell("NaN", {name: value}, missing=True)
    shown = value * metric(name).scale
    text = number(shown, 0) if name == "parameters" else significant(shown)
    whole = baseline.costs.get(name) if baseline is not None and name in RELATIVE else None
    if whole and variant is not baseline:
        text += f" ({value / whole:.0%})"
    return Cell(text, {name: value}, value)


def details_table(summary: Summary, label: str) -> Table | None:
    """A row a variant: both intervals, all p-values, effect size; None where nothing is compared, and of a screen."""
    _, decimals = places([summary])
    rows = tuple(
        (Cell(variant.name, {"variant": variant.name}), *_cells(variant.comparison, decimals))
        for variant in (summary.variants if not summary.is_screen else ())
        if variant.comparison is not None and variant.comparison.pairs.n
    )
    if not rows:
        return None
    headings = (
        "Pairs", "Difference", "t interval [95\u00a0%]", "BCa interval [95\u00a0%]", "Hedges g_z",
        "p (t)", "p (t, Holm)", "p (signs)", "p (TOST, Holm)",
    )  # fmt: skip
    compared = [variant.comparison.pairs.n for variant in summary.variants if variant.comparison is not None]
    fewest = min(filter(None, compared))
    notes = (
        "t: paired t-test. Holm: corrected over the variants and, where looks share the error, over the looks. Signs: "
        "the sign-flip test, exact, over all patterns of signs, not corrected; "
        f"{counted(fewest, 'pair')} can reach {p_value(smallest_p(fewest))} at best. "
        "TOST: the larger p of the two one-sided tests of a difference smaller than the smallest effect that matters.",
        f"BCa: bias-corrected and accelerated bootstrap; †: with fewer than {TRUSTED_PAIRS} pairs it is too narrow. "
        "g_z: mean difference over the standard deviation of the differences, with Hedges' correction.",
    )
    columns = (Column("Variant", numeric=False), *map(Column, headings))
    title = f"{summary.name}: all tests ({summary.dataset})"
    return Table(f"{label}-tests", title, columns, (Section("", rows),), notes, repeats=True)


def _cells(comparison: Comparison, places: int) -> tuple[Cell, ...]:
    pairs, size = comparison.pairs, comparison.effect_size
    p_values = {
        "p": comparison.p_raw,
        "p_holm": comparison.p_difference,
        "p_sign_flip": comparison.p_sign_flip,
        "p_equivalence_holm": comparison.p_equivalence,
    }
    return (
        Cell(str(pairs.n), {"pairs": pairs.n}, float(pairs.n)),
        Cell(number(pairs.mean, places, sign=True), {"difference": pairs.mean}, pairs.mean),
        _interval_cell("t", comparison.interval, places),
        _interval_cell("bca", bca_interval(pairs), places, mark="" if pairs.n >= TRUSTED_PAIRS else " †"),
        Cell(NOTHING if size is None else number(size, 2, sign=True), {"effect_size": size}, size),
        *(Cell(p_value(p), {name: p}, p) for name, p in p_values.items()),
    )


def _interval_cell(name: str, interval: Interval | None, places: int, mark: str = "") -> Cell:
    if interval is None:
        return Cell(NOTHING, {f"{name}_low": None, f"{name}_high": None})
    data = {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return Cell(bracketed(interval, places) + mark, data, interval.low)


def effects_table(summary: Summary, label: str) -> Table | None:
    """A row for each effect of leaving the reference level; None where nothing is crossed or cells are missing."""
    crossed = summary.crossing
    if crossed is None or summary.is_screen or why_no_effects(summary):  # the ablation's table says why
        return None
    found = summary.factor_effects()
    places = decimals(each.interval.half_width for each in found if each.interval)
    columns = (
        Column("Effect", numeric=False),
        Column(f"{summary.metric.title}{summary.metric.points_heading} [95\u00a0%]"),
        Column("p (Holm)"),
        Column("Seeds"),
    )
    notes = (
        f"Main effect: the change from {_reference(summary, crossed)}, averaged over the other factors' levels. "
        "Interaction (×): by how much the first change does more beside the second than without it. "
        "Each from one contrast a seed, with its 95\u00a0% t interval; p: paired t-test, Holm over all effects.",
    )
    rows = tuple(_row(summary, crossed, effect, places) for effect in found)
    title = f"{summary.name}: main effects and interactions ({summary.dataset})"
    return Table(f"{label}-effects", title, columns, (Section("", rows),), notes)


def why_no_effects(summary: Summary) -> str:
    """Why an ablation that crosses factors gets no effects; empty where it does, or crosses none."""
    if summary.is_screen:
        return ""
    try:
        summary.factor_effects()
    except UserError as error:
        return str(error)
    return ""


def _reference(summary: Summary, crossed: Crossing) -> str:
    baseline = summary.baseline.name
    if baseline in crossed.cells.values():
        return f"the level of {baseline}"
    levels = ", ".join(f"{factor}={level}" for factor, level in zip(crossed.factors, crossed.reference, strict=True))
    return f"{levels} ({baseline} is none of the crossed cells)"


def _row(summary: Summary, crossed: Crossing, effect: Effect, places: int) -> tuple[Cell, ...]:
    reference = dict(zip(crossed.factors, crossed.reference, strict=True))
    name = " × ".join(
        f"{factor}: {reference[factor]} → {level}" for factor, level in zip(effect.factors, effect.levels, strict=True)
    )
    return (
        Cell(name, {"ablation": summary.name, "effect": name}),
        estimate_cell("effect", effect.pairs.mean, effect.interval, places),
        Cell(p_value(effect.p), {"p_holm": effect.p}, effect.p),
        Cell(str(effect.pairs.n), {"pairs": effect.pairs.n}, float(effect.pairs.n)),
    )


def estimate_cell(name: str, mean: float, interval: Interval | None, places: int, *, sign: bool = True) -> Cell:
    """A mean and its interval, if it has one; `name` begins the names of its data."""
    text = number(mean, places, sign=sign) + (f" {bracketed(interval, places)}" if interval else "")
    ends = {f"{name}_low": interval.low if interval else None, f"{name}_high": interval.high if interval else None}
    return Cell(text, {f"{name}_mean": mean, **ends}, mean)
