"""What a look is taken of: the metric by variant and seed; of a screen, the main effect of each switch."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pandas as pd

from terminator.analysis.factors import Crossing, crossing
from terminator.analysis.metrics import Metric, check_logged, metric
from terminator.analysis.results import Question, Results
from terminator.analysis.statistics.factorial import Cell, contrasts, effects
from terminator.analysis.statistics.tests import pair, t_interval
from terminator.errors import UserError
from terminator.ledger import Ablation

LOGITS_APART = 2.0  # odds of 7 to 1 between the cells of a screen: then a point is not worth the same in all of them
FEWEST_SUMS = 7  # of interactions: enough that most of them, by far, can be taken to be small
IMAGES_UNKNOWN = 1000  # to take a logit of 0 % and 100 % by


class Measured(NamedTuple):
    """What a look is taken of: `values` are variant → seed → `metric` in its shown unit, as is `smallest_effect`.

    `test_images`: so many images the metric was measured on; None where that is not known, or it is no accuracy.
    `resolution`: the step that the metric moves in, 0 where it has none.
    """

    values: Mapping[str, Mapping[int, float]]
    metric: Metric
    higher_is_better: bool
    smallest_effect: float
    test_images: int | None
    resolution: float


def measured(results: Results, question: Question, metric_name: str | None = None) -> Measured:
    """The results of one of `results.questions`, by its own metric or another. Raises UserError as `summarize` does."""
    runs, ablation = results.of(question), question.ablation
    name = metric_name or ablation.metric
    check_logged(results, name)
    shown = metric(name, ablation.higher_is_better)
    higher_is_better = ablation.higher_is_better if name == ablation.metric else shown.higher_is_better
    margin = ablation.smallest_effect * shown.scale if _same_unit(shown, metric(ablation.metric)) else 0.0
    values = {variant: _values(rows, shown) for variant, rows in by_variant(runs, results, ablation).items()}
    images = _test_images(runs) if shown.of_test_images else None
    return Measured(values, shown, higher_is_better, margin, images, shown.resolution(images))


def judged(results: Results, question: Question) -> Measured:
    """What the looks at one of `results.questions` are taken of. Raises UserError as `summarize` does."""
    found, baseline = measured(results, question), question.ablation.baseline
    crossed = crossing(results.of(question), baseline) if question.ablation.is_screen else None
    return found if crossed is None else main_effects(found, crossed, baseline)


def main_effects(found: Measured, crossed: Crossing, baseline: str) -> Measured:
    """A screen's `found` cells as switch → seed → what switching it off does; the baseline is 0. All are
    empty where no seed has every cell.

    Accuracies far apart are judged by their logits, as effects that add up to a collapse do not do so in points: a part
    without any effect would get some from what its contrast is aliased with. Of the worst cell, what it lost by itself
    (`own_collapse`) is given back: it would be in every effect. The smallest effect that matters is then
    the one at the baseline's accuracy. An effect has the spread of a difference times √(2 / cells), and so it has the
    least spread that it is taken to have.
    """
    cells = {cell: found.values[name] for cell, name in crossed.cells.items()}
    if not set.intersection(*map(set, cells.values())):
        return found._replace(values={baseline: {}, **{factor: {} for factor in crossed.factors}})
    scaled, step = found.metric, sqrt(2 / len(cells))
    margin, resolution = found.smallest_effect, found.resolution
    if is_far_apart(found):
        usual = fmean(found.values[baseline].values())
        worse = -1 if found.higher_is_better else 1
        margin, resolution = (
            abs(logit(usual + worse * each, found.test_images) - logit(usual, found.test_images))
            for each in (margin, resolution)
        )
        cells = {cell: logits(values, found.test_images) for cell, values in cells.items()}
        if (collapsed := own_collapse(cells, crossed, found.higher_is_better)) is not None:
            worst, drop = collapsed
            cells[worst] = {seed: cells[worst][seed] - each for seed, each in drop.items()}
        scaled = Metric(f"{scaled.name}_logit", f"{scaled.title}, logit", "logits", "logits")
    main = [each for each in effects(cells, crossed.factors, crossed.reference) if len(each.factors) == 1]
    values = {
        each.factors[0]: dict(zip(each.pairs.seeds, each.pairs.differences.tolist(), strict=True)) for each in main
    }
    zero = {baseline: dict.fromkeys(main[0].pairs.seeds, 0.0)}
    return found._replace(
        values={**zero, **values}, metric=scaled, smallest_effect=margin, resolution=step * resolution
    )


def own_collapse(
    cells: Mapping[Cell, Mapping[int, float]], crossed: Crossing, higher_is_better: bool
) -> tuple[Cell, dict[int, float]] | None:
    """The worst of a screen's `cells` (in logits) and what it lost by itself, seed by seed; None if it is no collapse.

    A loss in one cell alone shows in all contrasts alike. Most sums of interactions of two should be small, so their
    median says how large it is (after Draper and Stoneman 1964, Biometrics 20, who estimate lost values from contrasts
    that should be zero). It counts where it is surely larger than half of `LOGITS_APART`.
    """
    worst = (min if higher_is_better else max)(cells, key=lambda cell: fmean(cells[cell].values()))
    place = list(cells).index(worst)
    found = contrasts(list(cells), crossed.factors, crossed.reference)
    seen = effects(cells, crossed.factors, crossed.reference)
    sums = [
        each.pairs.differences / of.weights[place]
        for of, each in zip(found, seen, strict=True)
        if len(each.factors) == 2
    ]
    if len(sums) < FEWEST_SUMS:
        return None
    drop = dict(zip(seen[0].pairs.seeds, np.median(sums, axis=0).tolist(), strict=True))
    interval = t_interval(pair(drop, dict.fromkeys(drop, 0.0)))
    if interval is None:
        return None
    surely = -interval.high if higher_is_better else interval.low
    return (worst, drop) if surely > LOGITS_APART / 2 else None


def is_far_apart(found: Measured) -> bool:
    """Whether accuracies lie so far apart, some near chance perhaps, that they are judged by their logits."""
    means = [logit(fmean(each.values()), found.test_images) for each in found.values.values() if each]
    return found.metric.is_fraction and bool(means) and max(means) - min(means) > LOGITS_APART


def logits(values: Mapping[int, float], images: int | None) -> dict[int, float]:
    """Of accuracies in per cent, seed by seed."""
    return {seed: logit(value, images) for seed, value in values.items()}


def logit(percent: float, images: int | None) -> float:
    """The logarithm of the odds, half an image added to either side (Haldane 1956), so that 100 % has one, too."""
    count = images or IMAGES_UNKNOWN
    right = min(max(percent / 100, 0.0), 1.0) * count
    return log((right + 0.5) / (count - right + 0.5))


def by_variant(runs: pd.DataFrame, results: Results, ablation: Ablation) -> dict[str, pd.DataFrame]:
    if runs.empty:
        raise UserError(f"ablation={ablation.name}: no runs in {results.source}, or none that the filters leave")
    groups = {str(variant): rows for variant, rows in runs.groupby("variant", sort=False)}
    if ablation.baseline not in groups:
        raise UserError(f"ablation={ablation.name}: no run of its baseline {ablation.baseline} to compare with")
    return groups


def _same_unit(one: Metric, other: Metric) -> bool:
    return one == other or (one.is_fraction and other.is_fraction)


def _values(rows: pd.DataFrame, shown: Metric) -> dict[int, float]:
    """Seed → metric of the runs that came to a finite number. Raises UserError if two runs claim one seed."""
    if (column := shown.logged) not in rows:
        return {}
    done = rows[(rows["state"] == "done") & np.isfinite(pd.to_numeric(rows[column], errors="coerce"))]
    twice = done[done["seed"].duplicated(keep=False)]
    if not twice.empty:
        first, keys = twice.iloc[0], ", ".join(twice["key"].astype(str))
        raise UserError(f"variant={first['variant']}: several results for one seed, {first['seed']}: runs {keys}")
    return {int(seed): shown.shown(float(value)) for seed, value in zip(done["seed"], done[column], strict=True)}


def _test_images(runs: pd.DataFrame) -> int | None:
    """The number of images in the test split; None where the runs did not record it."""
    known = pd.to_numeric(runs.get("test_images", pd.Series(dtype=float)), errors="coerce").dropna()
    return None if known.empty else int(known.max())
