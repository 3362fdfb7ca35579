"""Screening designs: few of the combinations of many switches, from which all main effects can be told.

Regular two-level fractions of resolution IV: no main effect is aliased with another or with an interaction of two
switches; these are aliased with each other. The first switches are crossed, and each further one is off in the cells in
which an odd number of those in its word is off, so all on is always a cell (Box, Hunter and Hunter 2005, Statistics for
Experimenters, ch. 6; Montgomery 2017, Design and Analysis of Experiments, table 8.14).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

from terminator.errors import UserError
from terminator.ledger import OFF, Ablation
from terminator.text import did_you_mean

FEWEST, MOST = 2, 16
# Words of odd length alone have products of an even number of switches, so of four or more: resolution IV.
ODD_WORDS = ("ABC", "BCD", "CDE", "ACD", "ADE", "BDE", "ABD", "ABE", "ACE", "BCE", "ABCDE")
# Of these numbers of switches, others leave fewer interactions aliased; five have resolution V.
BEST_WORDS = {
    5: ("ABCD",),
    9: ("BCDE", "ACDE", "ABDE", "ABCE"),
    10: ("ABCD", "ABCE", "ABDE", "ACDE", "BCDE"),
}


def cells(switches: Sequence[str], fold: str | None = None) -> list[tuple[bool, ...]]:
    """The combinations to train, whether each switch is off; the first has all on.

    Up to three switches are crossed, four take 8 cells, up to eight 16, up to sixteen 32. `fold`: the switch to fold
    over on. The same cells with that switch reversed are added, which clears all its interactions of all others
    (Montgomery and Runger 1996, J. Quality Technology 28); to reverse all switches would separate none. Raises
    UserError.
    """
    count = len(switches)
    if not FEWEST <= count <= MOST:
        raise UserError(f"ablation.screen: must be {FEWEST} to {MOST} switches, here {count}: {', '.join(switches)}")
    crossed = "ABCDE"[: count if count < 4 else (count - 1).bit_length() + 1]
    words = [*crossed, *BEST_WORDS.get(count, (word for word in ODD_WORDS if set(word) <= set(crossed)))][:count]
    chosen = [dict(zip(crossed, off, strict=True)) for off in product((False, True), repeat=len(crossed))]
    found = [tuple(sum(off[letter] for letter in word) % 2 == 1 for word in words) for off in chosen]
    if fold is None:
        return found
    if fold not in switches:
        meant = did_you_mean(fold, switches)
        raise UserError(f"ablation.fold={fold}: no such switch; {meant}choose from {', '.join(switches)}")
    if count < 4 or count == 5:
        raise UserError(f"ablation.fold={fold}: a screen of {count} switches has no aliased interactions to separate")
    return found + [tuple(off != (name == fold) for name, off in zip(switches, cell, strict=True)) for cell in found]


def cell_name(switches: Sequence[str], cell: Sequence[bool], baseline: str) -> str:
    """`no_a,b` of what is off, `only_c` where less is on; as a leave-one-out and an add-one-in call the same."""
    off = [name for name, is_off in zip(switches, cell, strict=True) if is_off]
    on = [name for name in switches if name not in off]
    if not off or not on:
        return baseline if not off else "none"
    return f"no_{','.join(off)}" if len(off) <= len(on) else f"only_{','.join(on)}"


def describe_screen(ablation: Ablation) -> str:
    """How many of all combinations it trains, and which effects these tell apart, in a sentence."""
    signs = [[1 - 2 * (level == OFF) for level in each.factors.values()] for each in ablation.variants]
    columns = list(zip(*signs, strict=True))
    pairs = [tuple(a * b for a, b in zip(*pair, strict=True)) for pair in combinations(columns, 2)]
    apart = f"all {len(pairs)} interactions of two"
    if len(set(pairs)) < len(pairs):
        apart = f"{len(set(pairs))} sums of the {len(pairs)} interactions of two"
        if len(signs) == len(cells(list(ablation.variants[0].factors))):  # not folded yet
            apart += ", which ablation.fold=… separates further"
    return (
        f"Screen: {len(signs)} of the {2 ** len(columns):,} combinations of {len(columns)} switches; they tell all "
        f"main effects apart, and {apart}."
    )
