from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from terminator import analysis
from terminator.analysis.power import power_note
from terminator.analysis.statistics.power import difference_power
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.summary import summarize
from terminator.config import RunConfig, to_plain
from tests.analysis.ledgers import branches, overridden

CONFIG: Mapping[str, Any] = to_plain(RunConfig())


def note(root: Path, ablation: str = "branches", config: Mapping[str, Any] = CONFIG) -> str:
    return power_note(root, ablation, config=config, seeds=5, variants=1)


def number_after(words: str, text: str) -> float:
    return float(text.partition(words)[2].split()[0])


def test_without_results_it_speaks_of_the_spread(tmp_path: Path) -> None:
    said = power_note(tmp_path, "branches", config=CONFIG, seeds=3, variants=10)
    assert said.startswith("Power: 3 seeds and 10 variants show differences from about 10.4 times their spread")
    assert said.endswith("no results with these settings yet say how large that is.")


def test_with_results_it_names_the_difference_and_their_sweep(tmp_path: Path) -> None:
    branches(3).write(tmp_path)
    results = analysis.load(tmp_path)
    summary = summarize(results, results.questions[0])
    spread = median_spread([variant.comparison.pairs for variant in summary.variants if variant.comparison])
    assert spread is not None
    for ablation in ("branches", "gating"):
        said = note(tmp_path, ablation)
        shown = number_after("from about ", said)
        assert difference_power(5, shown, spread, 0.05) == pytest.approx(0.8, abs=0.05)
        assert number_after("with a spread of ", said) == pytest.approx(spread, abs=0.006)
        assert said.endswith(f": the median of 3 variants of {summary.question.sweep.id}.")


def test_other_settings_say_nothing_of_the_spread(tmp_path: Path) -> None:
    branches(3, created=1.0).write(tmp_path)
    said = note(tmp_path)
    branches(3, created=2.0, typed=["training.epochs=1"], spread=0.05).write(tmp_path)
    branches(3, created=3.0, name="gating", typed=["training.batch_size=7"], spread=0.05).write(tmp_path)
    assert note(tmp_path) == said
    trial = overridden(to_plain(RunConfig()), {"training.epochs": 1})
    assert number_after("with a spread of ", note(tmp_path, config=trial)) > 1
    fresh = overridden(to_plain(RunConfig()), {"optimizer.learning_rate": 0.5})
    assert "no results with these settings" in note(tmp_path, config=fresh)


def test_one_seed(tmp_path: Path) -> None:
    said = power_note(tmp_path, "branches", config=CONFIG, seeds=1, variants=3)
    assert "one seed has no spread" in said
