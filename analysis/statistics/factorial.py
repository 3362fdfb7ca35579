"""Main effects and interactions of a factorial ablation, each from one contrast a seed.

A contrast weighs the cells of one seed against each other; its values over the seeds go through the same paired t-test
as any other difference, so every effect is judged by its own spread over the seeds (as in a repeated-measures analysis
of variance, where for two levels F = t²).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from terminator.analysis.statistics.tests import FloatArray, Pairs, holm, pair, t_interval, t_test
from terminator.errors import UserError
from terminator.ledger import Interval

Cell = tuple[str, ...]  # a level of each factor, in the factors' order


@dataclass(frozen=True)
class Effect:
    """An effect of going from the reference level(s) to `levels`; `p` is corrected over all effects by Holm.

    Main effect (one factor): the change of the metric, averaged over the other factors' levels. Interaction (two): by
    how much the first factor's effect is larger at the second's level than at its reference, averaged over the rest.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    pairs: Pairs
    interval: Interval | None
    p: float | None


def effects(cells: Mapping[Cell, Mapping[int, float]], factors: tuple[str, ...], reference: Cell) -> list[Effect]:
    """All main effects and two-factor interactions of `cells`, cell → seed → metric, against the `reference` cell.

    Raises UserError where the design is not a full crossing of its factors' levels, or no seed has every cell.
    """
    levels = [_levels(cells, axis, reference[axis]) for axis in range(len(factors))]
    missing = [cell for cell in product(*levels) if not cells.get(cell)]
    if missing:
        raise UserError(
            f"factors={'×'.join(factors)}: not a full crossing, without results for {', '.join(missing[0])}"
        )
    seeds = sorted(set.intersection(*(set(cells[cell]) for cell in product(*levels))))
    if not seeds:
        raise UserError(f"factors={'×'.join(factors)}: no seed has a result in every cell")
    table = np.array([[cells[cell][seed] for cell in product(*levels)] for seed in seeds])
    table = table.reshape(len(seeds), *map(len, levels))

    found: dict[str, tuple[tuple[int, ...], tuple[int, ...], Pairs]] = {}
    for order in (1, 2):
        for axes in combinations(range(len(factors)), order):
            for chosen in product(*(range(1, len(levels[axis])) for axis in axes)):
                key = f"{axes}{chosen}"
                found[key] = axes, chosen, _contrast(table, dict(zip(axes, chosen, strict=True)), seeds)
    adjusted = holm({key: t_test(pairs) for key, (_, _, pairs) in found.items()})
    return [
        Effect(
            factors=tuple(factors[axis] for axis in axes),
            levels=tuple(levels[axis][level] for axis, level in zip(axes, chosen, strict=True)),
            pairs=pairs,
            interval=t_interval(pairs),
            p=adjusted[key],
        )
        for key, (axes, chosen, pairs) in found.items()
    ]


def _levels(cells: Mapping[Cell, Mapping[int, float]], axis: int, reference: str) -> list[str]:
    """A factor's levels, the reference first, then as they come."""
    return list(dict.fromkeys([reference, *(cell[axis] for cell in cells)]))


def _contrast(table: FloatArray, chosen: Mapping[int, int], seeds: list[int]) -> Pairs:
    """Seed by seed: the cells that count up and those that count down, means over the other factors.

    They stay apart up to the end, so that `pair` can tell a spread of nothing but rounding.
    """
    up, down = table, np.zeros_like(table)
    for axis in range(1, table.ndim):
        if axis - 1 in chosen:
            level = [chosen[axis - 1]]
            up, down = up.take(level, axis) + down.take([0], axis), up.take([0], axis) + down.take(level, axis)
        else:
            up, down = up.mean(axis=axis, keepdims=True), down.mean(axis=axis, keepdims=True)
    raised, lowered = (dict(zip(seeds, side.ravel().tolist(), strict=True)) for side in (up, down))
    return pair(raised, lowered)
