"""Ablations that cross factors: which variant stands in which cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.statistics.factorial import Cell


@dataclass(frozen=True)
class Crossing:
    """`cells`: the levels of `factors`, in their order → the variant's name. `reference`: the baseline's cell."""

    factors: tuple[str, ...]
    cells: Mapping[Cell, str]
    reference: Cell


def crossing(runs: pd.DataFrame, baseline: str) -> Crossing | None:
    """The crossing of an ablation whose variants, twins apart, all have the same factors; None with fewer than two."""
    own = runs[runs["twin_of"].isna()]
    factors = {str(name): dict(given or {}) for name, given in zip(own["variant"], own["factors"], strict=True)}
    axes = tuple(factors.get(baseline, {}))
    if len(axes) < 2 or any(set(given) != set(axes) for given in factors.values()):
        return None
    cells = {tuple(_word(given[axis]) for axis in axes): name for name, given in factors.items()}
    reference = tuple(_word(factors[baseline][axis]) for axis in axes)
    return Crossing(tuple(axis.rpartition(".")[2] for axis in axes), cells, reference)


def _word(level: object) -> str:
    """A level as it is typed in YAML."""
    return str(level).lower() if isinstance(level, bool) else str(level)
