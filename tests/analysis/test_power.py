from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terminator import analysis
from terminator.analysis.power import detectable_difference, difference_power, power_notes
from terminator.analysis.statistics.tests import median_spread
from terminator.analysis.summary import summarize
from terminator.config import RunConfig, to_plain
from terminator.ledger import Ablation, LookPlan, Variant
from tests.analysis.ledgers import branches, overridden

CONFIG: Mapping[str, Any] = to_plain(RunConfig())


def asked(name: str = "branches", seeds: int = 5, variants: int = 1, **changes: Any) -> Ablation:
    rows = [Variant(str(number)) for number in range(1 + variants)]
    return replace(Ablation(name, "", "0", "test_accuracy", True, 0.005, range(seeds), rows), **changes)


def note(root: Path, ablation: str = "branches", config: Mapping[str, Any] = CONFIG) -> str:
    return power_notes(root, asked(ablation), config, 360)[0]


def number_after(words: str, text: str) -> float:
    return float(text.partition(words)[2].split()[0])


@pytest.mark.parametrize(
    ("changes", "tested", "seeds", "alpha"),
    [
        ({"seeds": 3, "variants": 10}, "3 seeds and 10 variants", 3, 0.045 / 10),
        # The last of five looks has a fifth of the 4.5 %.
        ({"seeds": 3, "variants": 10, "looks": LookPlan()}, "20 seeds and 10 variants", 20, 0.009 / 10),
        ({"seeds": 5, "variants": 1, "looks": LookPlan((3, 4), (0.5, 0.5))}, "4 seeds and 1 variant", 4, 0.0225),
    ],
)
def test_without_results_it_speaks_of_the_spread(
    changes: dict[str, Any], tested: str, seeds: int, alpha: float, tmp_path: Path
) -> None:
    (said,) = power_notes(tmp_path, asked(**changes), CONFIG, 360)
    assert said.startswith(f"Power: {tested} show differences from about ")
    assert said.endswith(
        " times their spread over the seeds on; no results with these settings yet say how large that is."
    )
    times = number_after("from about ", said)
    assert difference_power(seeds, times - 0.1, 1.0, alpha) < 0.8 < difference_power(seeds, times + 0.1, 1.0, alpha)


def test_with_results_it_names_the_difference_and_their_sweep(tmp_path: Path) -> None:
    branches(3).write(tmp_path)
    results = analysis.load(tmp_path)
    summary = summarize(results, results.questions[0])
    spread = median_spread([variant.comparison.pairs for variant in summary.variants if variant.comparison])
    assert spread is not None
    for ablation in ("branches", "gating"):
        said = note(tmp_path, ablation)
        shown = number_after("from about ", said)
        assert difference_power(5, shown, spread, 0.045) == pytest.approx(0.8, abs=0.05)
        assert number_after("with a spread of ", said) == pytest.approx(spread, abs=0.006)
        assert said.endswith(f": the median of 3 variants of {summary.question.sweep.id}.")


def test_a_difference_of_more_than_a_hundred_points_is_none(tmp_path: Path) -> None:
    branches(3, accuracy=0.5, spread=0.3).write(tmp_path)
    said = power_notes(tmp_path, asked(seeds=3, variants=10), CONFIG, 360)[0]
    assert said.startswith("Power: 3 seeds and 10 variants show no difference that there can be (power 0.8, ")


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


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds(seeds: int, tmp_path: Path) -> None:
    (said,) = power_notes(tmp_path, asked(seeds=seeds), CONFIG, None)
    assert said == f"Power: {seeds} seed{'s' * (seeds > 1)} can show nothing: an interval and a verdict take 3."


def test_a_margin_that_does_not_fit_is_warned_of(tmp_path: Path) -> None:
    """An image of 100 is worth one point, twice the margin; so is the spread that was seen, here four times."""
    (_, image) = power_notes(tmp_path, asked(), CONFIG, 100)
    assert image.endswith("is below what one of 100 test images is worth, 1 points.")
    branches(3, spread=0.02).write(tmp_path)
    (_, spread) = power_notes(tmp_path, asked(), CONFIG, 360)
    assert "0.5 points, is below one typical spread of the differences between seeds, " in spread


def test_another_metric_has_its_own_spread_and_no_images(tmp_path: Path) -> None:
    """The invented test loss is 1 less the accuracy, so it has its spread, a hundredth of that in points."""
    branches(3, spread=0.02).write(tmp_path)
    of_loss, warned = power_notes(tmp_path, asked(metric="test_loss"), CONFIG, 100)
    assert number_after("with a spread of ", of_loss.replace(":", " :")) == pytest.approx(
        number_after("with a spread of ", note(tmp_path)) / 100, rel=0.1
    )
    assert "The smallest effect that matters, 0.005, is below one typical spread" in warned


def test_power_of_the_paired_t_test() -> None:
    """Cohen's medium effect, d_z = 0.5, takes 34 pairs for a power of 0.8 (G*Power prints 0.8077775)."""
    assert difference_power(34, 0.5, 1.0, 0.05) == pytest.approx(0.8077775, abs=1e-6)
    assert difference_power(33, 0.5, 1.0, 0.05) < 0.8
    assert difference_power(5, 0.0, 1.0, 0.05) == pytest.approx(0.05, abs=1e-6)


def test_detectable_difference_is_the_one_that_power_reaches() -> None:
    found = detectable_difference(5, 0.02, 0.05)
    assert difference_power(5, found, 0.02, 0.05) == pytest.approx(0.8)
    assert detectable_difference(5, 0.0, 0.05) == 0
    with pytest.raises(ValueError, match="seeds=1"):
        detectable_difference(1, 0.02, 0.05)
