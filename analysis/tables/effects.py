"""The table of main effects and interactions of an ablation that crosses factors."""

from __future__ import annotations

from terminator.analysis.statistics.factorial import Effect, effects
from terminator.analysis.summary import Crossing, Summary
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import bracketed, decimals, number, p_value
from terminator.errors import UserError


def effects_table(summary: Summary, label: str) -> Table | None:
    """A row for each effect of leaving the reference level; None where nothing is crossed or cells are missing."""
    crossed = summary.crossing
    if crossed is None or why_no_effects(summary):
        return None
    found = _effects(summary, crossed)
    places = decimals([(each.interval.high - each.interval.low) / 2 for each in found if each.interval])
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
    if summary.crossing is None:
        return ""
    try:
        _effects(summary, summary.crossing)
    except UserError as error:
        return str(error)
    return ""


def _effects(summary: Summary, crossed: Crossing) -> list[Effect]:
    values = {variant.name: variant.values for variant in summary.variants}
    return effects({cell: values[name] for cell, name in crossed.cells.items()}, crossed.factors, crossed.reference)


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
    mean, interval = effect.pairs.mean, effect.interval
    text = number(mean, places, sign=True) + (f" {bracketed(interval, places)}" if interval else "")
    ends = {"effect_low": interval.low if interval else None, "effect_high": interval.high if interval else None}
    return (
        Cell(name, {"ablation": summary.name, "effect": name}),
        Cell(text, {"effect_mean": mean, **ends}, mean),
        Cell(p_value(effect.p), {"p_holm": effect.p}, effect.p),
        Cell(str(effect.pairs.n), {"pairs": effect.pairs.n}, float(effect.pairs.n)),
    )
