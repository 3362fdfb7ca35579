"""Holm's step-down correction (Holm 1979) over the tests of one table."""

from __future__ import annotations

from collections.abc import Mapping


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust the p-values of one family; None (not testable) stays None and does not count as a test.

    Written out, and held to statsmodels' in the tests: that one collects garbage at every call, which takes its time.
    """
    tested = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    largest = 0.0
    for smaller, (p, name) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - smaller)))
        adjusted[name] = largest
    return adjusted
