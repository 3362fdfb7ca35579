"""Shares of variance: recovered from made-up results whose components are known, with intervals that cover."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from terminator.analysis.statistics.variance import Spread, spread

TABLES = 600
SHARES = {"init": 0.6, "order": 0.3, "split": 0.1}


@pytest.fixture(scope="module")
def tables() -> list[dict[str, Spread]]:
    """Tables of ten seeds with additive sources of these shares of a variance of 4, each with the others held."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(TABLES):
        drawn = {name: 2 * share**0.5 * random.standard_normal(10) for name, share in SHARES.items()}
        results = {"all": sum(drawn.values()), **drawn}
        by_seed = {name: dict(enumerate(np.asarray(each).tolist())) for name, each in results.items()}
        found.append({name: spread(each, by_seed["all"]) for name, each in by_seed.items()})
    return found


@pytest.mark.parametrize(("name", "share"), SHARES.items())
def test_components_are_recovered_and_covered(name: str, share: float, tables: list[dict[str, Spread]]) -> None:
    spreads = [table[name] for table in tables]
    assert np.mean([each.std**2 for each in spreads]) == pytest.approx(4 * share, rel=0.05)
    assert np.median([each.share for each in spreads]) == pytest.approx(share, rel=0.15)
    allowed = 3 * (0.95 * 0.05 / TABLES) ** 0.5
    for intervals, truth in (
        ([each.interval for each in spreads], 2 * share**0.5),
        ([each.share_interval for each in spreads], share),
    ):
        held = [interval is not None and interval.contains(truth) for interval in intervals]
        assert np.mean(held) == pytest.approx(0.95, abs=allowed)


def test_all_is_all_of_itself(tables: list[dict[str, Spread]]) -> None:
    whole = tables[0]["all"]
    assert whole.share == pytest.approx(1)
    assert whole.share_interval is not None
    assert whole.share_interval.low == pytest.approx(whole.share_interval.high)


def test_what_cannot_be_known_is_left_out() -> None:
    assert isnan(spread({0: 1.0}, {0: 2.0}).std)
    assert spread({0: 1.0, 1: 2.0}, {0: 1.0, 1: 3.0}).share_interval is None  # two seeds
    same = spread({0: 1.0, 1: 2.0, 2: 5.0}, {0: 3.0, 1: 3.0, 2: 3.0})
    assert isnan(same.share)
    none_left = spread({0: 3.0, 1: 3.0, 2: 3.0}, {0: 1.0, 1: 2.0, 2: 5.0})
    assert (none_left.std, none_left.share) == (0.0, 0.0)
    apart = spread({0: 1.0, 1: 2.0}, {5: 1.0, 6: 3.0})
    assert apart.interval is not None
    assert isnan(apart.share)
