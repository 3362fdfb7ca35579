"""Data sets that textbooks and papers have worked through."""

from __future__ import annotations

from collections.abc import Sequence

from terminator.analysis.statistics.tests import Pairs, pair

# Student (1908), the sleep data: hours gained with two drugs by the same ten patients.
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

# Darwin's maize, in eighths of an inch: crossed less self-fertilised plants (Fisher 1935, The Design of Experiments).
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def by_seed(values: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(values))


def sleep() -> Pairs:
    return pair(by_seed(DRUG_1), by_seed(DRUG_2))


def maize() -> Pairs:
    return of(MAIZE)


def of(differences: Sequence[float]) -> Pairs:
    """Pairs with these very differences."""
    return pair(by_seed(differences), by_seed([0.0] * len(differences)))
