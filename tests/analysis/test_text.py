from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest

from terminator.analysis.text import decimals, number, p_value, places, significant
from terminator.ledger import Interval
from tests.analysis.ledgers import branches, summarized


def test_decimals_follow_the_spread() -> None:
    assert decimals([0.34]) == 2
    assert decimals([0.36]) == 1
    assert decimals([0.078]) == 2
    assert decimals([1.2, 1.9, 40.0]) == 1
    assert decimals([12.0]) == 0
    assert decimals([0.0034]) == 4
    assert decimals([0.97]) == 1
    assert decimals([1e-9]) == 4
    assert decimals([nan, 0.0]) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.25, "1.25"), (-0.5, "−0.50"), (-0.001, "0.00"), (1234.5, "1,234.50"), (nan, "–"), (-inf, "−∞")],
)
def test_number(value: float, text: str) -> None:
    assert number(value, 2) == text


def test_signed() -> None:
    assert [number(value, 1, sign=True) for value in (0.26, 0.0, -0.04, -0.26)] == ["+0.3", "0.0", "0.0", "−0.3"]


def test_significant() -> None:
    values = (0, 0.01234, 4.0, 11.37, 2224.6)
    assert [significant(value) for value in values] == ["0", "0.0123", "4.00", "11.4", "2,225"]


def test_p_values_are_never_zero() -> None:
    assert [p_value(p) for p in (0.0, 0.00049, 0.0123, 0.0996, 0.5, 1.0, None)] == [
        "<0.001", "<0.001", "0.012", "0.10", "0.50", "1.00", "–",
    ]  # fmt: skip


def test_an_interval_that_excludes_0_does_not_show_it(tmp_path: Path) -> None:
    _, summary = summarized(branches(1, seeds=range(5), spread=0.02), tmp_path)
    variant = summary.variants[1]
    assert variant.comparison is not None
    assert places([summary])[1] == 1  # by its width alone
    near = replace(variant, comparison=replace(variant.comparison, interval=Interval(-7.5, -0.04)))
    assert places([replace(summary, variants=(summary.baseline, near))]) == (places([summary])[0], 2)
