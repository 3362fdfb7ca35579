"""What an ablation turns: one number, or several factors that it crosses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.statistics.factorial import Cell


@dataclass(frozen=True)
class Axis:
    """`values`: each variant's name, the baseline's too → its value of the configuration's `key`."""

    key: str
    values: Mapping[str, float]


def numeric_axis(runs: pd.DataFrame, baseline: str) -> Axis | None:
    """The one number that tells an ablation's variants, twins apart, from each other; None where it is not so."""
    own = runs[runs["twin_of"].isna()]
    keys = {tuple(given or {}) for given in own.loc[own["variant"] != baseline, "factors"]}
    if len(keys) != 1 or len(key := keys.pop()) != 1:
        return None
    values = {str(name): _at(config, key[0]) for name, config in zip(own["variant"], own["config"], strict=True)}
    if any(value is None for value in values.values()):
        return None
    return Axis(key[0], {name: value for name, value in values.items() if value is not None})


def _at(config: object, key: str) -> float | None:
    """The number at a dotted key."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return float(config) if isinstance(config, (int, float)) and not isinstance(config, bool) else None


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
