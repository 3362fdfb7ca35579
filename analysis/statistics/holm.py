"""Holm's step-down correction (Holm 1979) over the tests of one table."""

from __future__ import annotations

from collections.abc import Mapping

from statsmodels.stats.multitest import multipletests


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust the p-values of one family; None (not testable) stays None and does not count as a test."""
    tested = {name: p for name, p in p_values.items() if p is not None}
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    if tested:
        corrected = multipletests(list(tested.values()), method="holm")[1]
        adjusted.update({name: float(p) for name, p in zip(tested, corrected, strict=True)})
    return adjusted
