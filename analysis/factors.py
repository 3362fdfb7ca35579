"""Ablations that cross factors: which variant stands in which cell, and what each factor does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.results import Question, Results
from analysis.statistics.factorial import Cell, Effect, effects
from analysis.summary import Summary
from terminator.errors import UserError


@dataclass(frozen=True)
class Crossing:
    """`cells`: the levels of `factors`, in their order → the variant's name."""

    factors: tuple[str, ...]
    cells: Mapping[Cell, str]
    reference: Cell


def crossing(results: Results, question: Question) -> Crossing | None:
    """The crossing of an ablation whose variants, twins apart, all have the same factors; None with fewer than two."""
    runs = results.of(question)
    own = runs[runs["twin_of"].isna()]
    factors = {str(name): dict(given) for name, given in zip(own["variant"], own["factors"], strict=True)}
    axes = tuple(factors.get(question.baseline, {}))
    if len(axes) < 2 or any(set(given) != set(axes) for given in factors.values()):
        return None
    cells = {tuple(_word(given[axis]) for axis in axes): name for name, given in factors.items()}
    reference = tuple(_word(factors[question.baseline][axis]) for axis in axes)
    return Crossing(tuple(axis.rpartition(".")[2] for axis in axes), cells, reference)


def factor_effects(summary: Summary, crossed: Crossing) -> list[Effect] | None:
    """Main effects and interactions, in the metric's shown unit; None where cells are missing."""
    by_name = {variant.name: variant.values for variant in summary.variants}
    try:
        return effects(
            {cell: by_name[name] for cell, name in crossed.cells.items()}, crossed.factors, crossed.reference
        )
    except UserError:
        return None


def _word(level: object) -> str:
    """A level as it is typed in YAML."""
    return str(level).lower() if isinstance(level, bool) else str(level)
