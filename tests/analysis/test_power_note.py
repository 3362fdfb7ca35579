from __future__ import annotations

from math import sqrt
from pathlib import Path

import pytest

import analysis
from analysis.power_note import pooled_spread, power_note
from analysis.statistics.power import difference_power
from analysis.summary import summarize
from tests.analysis.ledgers import branches


def test_without_results_it_speaks_of_the_spread(tmp_path: Path) -> None:
    note = power_note(tmp_path, "branches", dataset="digits", seeds=3, variants=10)
    assert note.startswith("Power: 3 seeds and 10 variants show differences from about 10.4 times their spread")
    assert note.endswith("no results on digits yet say how large that is.")


def test_with_results_it_names_the_difference(tmp_path: Path) -> None:
    branches(3).write(tmp_path)
    results = analysis.load(tmp_path)
    summary = summarize(results, results.questions[0])
    spread = pooled_spread([summary])
    assert spread is not None
    # Three variants of as many pairs weigh alike.
    variances = [variant.comparison.pairs.spread**2 for variant in summary.variants if variant.comparison]
    assert spread == pytest.approx(sqrt(sum(variances) / 3))
    for ablation in ("branches", "gating"):
        note = power_note(tmp_path, ablation, dataset="digits", seeds=5, variants=1)
        words = note.split()
        shown = float(words[words.index("about") + 1])
        assert difference_power(5, shown, spread, 0.05) == pytest.approx(0.8, abs=0.05)
        assert note.endswith("seen in branches on digits.")


def test_one_seed(tmp_path: Path) -> None:
    assert "one seed has no spread" in power_note(tmp_path, "branches", dataset="digits", seeds=1, variants=3)
