"""What the number of the test images means for results: their noise, and accuracies that guesses would have, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from terminator.analysis.caveats import drawn
from terminator.analysis.factors import at
from terminator.analysis.measured import IMAGES_UNKNOWN
from terminator.analysis.metrics import Metric
from terminator.analysis.statistics.tests import BoolArray, finite_test_set_noise
from terminator.config import Source
from terminator.data.config import FORMATS, TEST_DRAWN
from terminator.text import counted

ERRORS_FROM_CHANCE = 3.0  # standard errors of the test set that an accuracy has to be above chance


def collapsed(rows: pd.DataFrame) -> tuple[int, ...]:
    """The seeds of those of a variant's runs that do no better than guesses among the classes.

    Their test accuracy is at most `ERRORS_FROM_CHANCE` standard errors above 1 / classes, and at most twice that. A run
    without a test accuracy, or whose number of classes is not known, is none of them.
    """
    found = []
    for row in rows.to_dict("records"):
        classes, accuracy, images = at(row["config"], "data.classes"), row.get("test_accuracy"), row.get("test_images")
        if row["state"] != "done" or not isinstance(classes, int) or classes < 2 or pd.isna(accuracy):
            continue
        chance, count = 1 / classes, IMAGES_UNKNOWN if pd.isna(images) else images
        if accuracy <= chance + min(chance, ERRORS_FROM_CHANCE * sqrt(chance * (1 - chance) / count)):
            found.append(int(row["seed"]))
    return tuple(found)


def collapse_note(seeds: Sequence[int], count: int) -> str:
    """`collapsed in 2 of 5 seeds (1, 4): no better than guesses`."""
    named = f"{len(seeds)} of {counted(count, 'seed')} ({', '.join(map(str, seeds))})"
    return f"collapsed in {named if len(seeds) < count else 'all seeds'}: no better than guesses"


def noise_of_images(
    groups: Mapping[str, pd.DataFrame], baseline: str, shown: Metric, test_images: int | None
) -> float | None:
    """The median over the variants of the finite test set's noise, in the metric's shown unit.

    `groups`: variant → its runs. None where the runs did not record their images, or the baseline is not among them.
    """
    if not test_images or baseline not in groups:
        return None
    right = {name: _correct(rows, test_images) for name, rows in groups.items()}
    base = right.pop(baseline)
    noise = [finite_test_set_noise(each, base) for each in right.values() if len(each) and len(base)]
    return shown.scale * float(np.median(noise)) if noise else None


def draws_test(configs: Mapping[str, Iterable[Mapping[str, Any]]]) -> bool:
    """Whether the test images differ from seed to seed, as they may in data of an installed package."""
    known = (config for each in configs.values() for config in each if Source.split in drawn(config))
    published = {*FORMATS} - {*TEST_DRAWN}
    return any(config.get("data", {}).get("format") not in published for config in known)


def _correct(rows: pd.DataFrame, images: int) -> BoolArray:
    """(runs, images): which test images each run with a result got right."""
    bits = [np.frombuffer(packed, np.uint8) for packed in rows["test_correct"] if isinstance(packed, bytes)]
    return np.array([np.unpackbits(each, count=images) for each in bits if 8 * len(each) >= images]).astype(np.bool_)
