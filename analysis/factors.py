"""What an ablation varies: the one number that its variants differ in, or the factors that it crosses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from terminator.analysis.statistics.factorial import Cell
from terminator.text import short_names


@dataclass(frozen=True)
class Axis:
    """`values`: each variant's name, the baseline's too → its value of the configuration's `key`."""

    key: str
    values: Mapping[str, float]


def numeric_axis(runs: pd.DataFrame, baseline: str) -> Axis | None:
    """The one number that tells an ablation's variants, controls apart, from each other; None where it is not so."""
    own = runs[runs["twin_of"].isna()]
    keys = {tuple(given or {}) for given in own.loc[own["variant"] != baseline, "factors"]}
    if len(keys) != 1 or len(key := keys.pop()) != 1:
        return None
    values = {str(name): _number(config, key[0]) for name, config in zip(own["variant"], own["config"], strict=True)}
    if any(value is None for value in values.values()):
        return None
    return Axis(key[0], {name: value for name, value in values.items() if value is not None})


def _number(config: object, key: str) -> float | None:
    value = at(config, key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def at(config: object, key: str) -> object:
    """What stands at a dotted key; None where there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


@dataclass(frozen=True)
class Crossing:
    """`cells`: the levels of `factors`, in their order → the variant's name. `reference`: the cell whose levels effects
    are changes from."""

    factors: tuple[str, ...]
    cells: Mapping[Cell, str]
    reference: Cell


def crossing(runs: pd.DataFrame, baseline: str) -> Crossing | None:
    """The crossing of the variants, controls apart, that have several factors, all of them the same; None without any.

    It need not hold the baseline: where that has a level that was not crossed, the reference is the first level.
    """
    own = runs[runs["twin_of"].isna()]
    given = {str(name): dict(levels or {}) for name, levels in zip(own["variant"], own["factors"], strict=True)}
    crossed = {name: levels for name, levels in given.items() if len(levels) > 1}
    axes = next(map(tuple, crossed.values()), ())
    if not axes or any(set(levels) != set(axes) for levels in crossed.values()):
        return None
    cells = {tuple(_level(levels[axis]) for axis in axes): name for name, levels in crossed.items()}
    along = [list(dict.fromkeys(levels)) for levels in zip(*cells, strict=True)]
    if all(len(levels) == len(cells) for levels in along):  # no level comes twice: side by side, not crossed
        return None
    config = next(iter(own.loc[own["variant"] == baseline, "config"]), None)
    usual = [_level(given.get(baseline, {}).get(axis, at(config, axis))) for axis in axes]
    reference = tuple(each if each in levels else levels[0] for each, levels in zip(usual, along, strict=True))
    return Crossing(tuple(short_names(axes).values()), cells, reference)


def _level(level: object) -> str:
    """A level as it is typed in YAML."""
    return str(level).lower() if isinstance(level, bool) else str(level)
