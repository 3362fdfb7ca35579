"""Main effects and interactions of a factorial ablation, each from one contrast a seed.

A contrast weighs the cells of one seed against each other; its values over the seeds go through the same paired t-test
as any other difference, so every effect is judged by its own spread over the seeds (as in a repeated-measures analysis
of variance, where for two levels F = t²). The cells are a full crossing of the factors' levels, or a regular fraction
of one of two levels: there, effects with one contrast cannot be told apart, and are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    `aliases`: the factors of further effects, whose sum with this one it is.
    """

    factors: tuple[str, ...]
    levels: tuple[str, ...]
    pairs: Pairs
    interval: Interval | None
    p: float | None
    aliases: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Contrast:
    """An effect as the weight of each cell, (cells,): its value is the weighted sum of the cells' results."""

    axes: tuple[int, ...]
    levels: tuple[str, ...]
    weights: FloatArray
    aliases: tuple[tuple[int, ...], ...] = ()


def contrasts(cells: Sequence[Cell], factors: Sequence[str], reference: Cell) -> list[Contrast]:
    """Of all main effects, then of all two-factor interactions, against the `reference` cell.

    Raises UserError where the cells are neither a full crossing of their levels nor a regular fraction.
    """
    levels = [list(dict.fromkeys([reference[axis], *(cell[axis] for cell in cells)])) for axis in range(len(factors))]
    found: dict[tuple[float, ...], Contrast] = {}
    for each in _contrasts(cells, levels):
        same = found.get(key := tuple(each.weights.tolist()))
        aliases = () if same is None else (*same.aliases, each.axes)
        found[key] = each if same is None else Contrast(same.axes, same.levels, same.weights, aliases)
    missing = [cell for cell in product(*levels) if cell not in set(cells)]
    if missing and not (
        all(len(each) == 2 for each in levels) and _is_regular([each.weights for each in found.values()])
    ):
        raise UserError(
            f"factors={'×'.join(factors)}: not a full crossing, without results for {', '.join(missing[0])}"
        )
    return list(found.values())


def _contrasts(cells: Sequence[Cell], levels: Sequence[Sequence[str]]) -> Iterator[Contrast]:
    for order in (1, 2):
        for axes in combinations(range(len(levels)), order):
            for chosen in product(*(levels[axis][1:] for axis in axes)):
                signs = np.ones(len(cells))
                for axis, level in zip(axes, chosen, strict=True):
                    ends = {level: 1.0, levels[axis][0]: -1.0}
                    signs *= [ends.get(cell[axis], 0.0) * len(levels[axis]) for cell in cells]
                yield Contrast(axes, chosen, signs / len(cells))


def _is_regular(weights: Sequence[FloatArray]) -> bool:
    """Whether contrasts of two levels are balanced and orthogonal."""
    columns = np.sign([np.ones_like(weights[0]), *weights])
    return bool(np.array_equal(columns @ columns.T, columns.shape[1] * np.eye(len(columns))))


def effects(cells: Mapping[Cell, Mapping[int, float]], factors: tuple[str, ...], reference: Cell) -> list[Effect]:
    """All main effects and two-factor interactions of `cells`, cell → seed → metric, against the `reference` cell.

    Raises UserError where cells are missing, or no seed has every one.
    """
    found = contrasts([cell for cell, values in cells.items() if values], factors, reference)
    seeds = sorted(set.intersection(*map(set, cells.values())))
    if not seeds:
        raise UserError(f"factors={'×'.join(factors)}: no seed has a result in every cell")
    table = np.array([[values[seed] for values in cells.values()] for seed in seeds])
    pairs = [_pairs(each.weights, table, seeds) for each in found]
    adjusted = holm({str(number): t_test(each) for number, each in enumerate(pairs)})
    return [
        Effect(
            factors=tuple(factors[axis] for axis in each.axes),
            levels=each.levels,
            pairs=paired,
            interval=t_interval(paired),
            p=adjusted[str(number)],
            aliases=tuple(tuple(factors[axis] for axis in axes) for axes in each.aliases),
        )
        for number, (each, paired) in enumerate(zip(found, pairs, strict=True))
    ]


def _pairs(weights: FloatArray, table: FloatArray, seeds: Sequence[int]) -> Pairs:
    """Seed by seed: the cells that count up and those that count down.

    They stay apart up to the end, so that `pair` can tell a spread of nothing but rounding.
    """
    up, down = table @ np.maximum(weights, 0), table @ np.maximum(-weights, 0)
    return pair(*(dict(zip(seeds, side.tolist(), strict=True)) for side in (up, down)))


@dataclass(frozen=True)
class Shares:
    """`total`: from the reference to the cell with no factor at it, as main effects and pairs fit it; `shares`: of the
    factors, in per cent of it, each with its interval, None where the total may be zero."""

    total: Pairs
    shares: tuple[tuple[float, Interval] | None, ...]


def shapley(main: Sequence[Pairs], level: float = 0.95) -> Shares:
    """Each factor's Shapley share of the total, from its main effect; they sum to 100 %.

    In a model of main effects and interactions of two, whichever pairs of an aliased sum these are given to, a factor's
    Shapley value is its main effect: an interaction counts half for either (Grabisch and Roubens 1999, Int. J. Game
    Theory 28). A share is a ratio of means over seeds, with the interval of Student's t for its linear part (Cochran
    1977, Sampling Techniques, ch. 6).
    """
    seeds = main[0].seeds
    sums = np.sum([each.differences for each in main], axis=0)
    total = pair(dict(zip(seeds, sums.tolist(), strict=True)), dict.fromkeys(seeds, 0.0))
    whole = t_interval(total, level)
    if whole is None or whole.contains(0.0):
        return Shares(total, (None,) * len(main))
    shares = []
    for each in main:
        ratio = each.mean / total.mean
        part = (100 * (each.differences - ratio * sums) / total.mean).tolist()
        half = t_interval(pair(dict(zip(seeds, part, strict=True)), dict.fromkeys(seeds, 0.0)), level)
        around = half.bound if half else 0.0
        shares.append((100 * ratio, Interval(100 * ratio - around, 100 * ratio + around, level)))
    return Shares(total, tuple(shares))
