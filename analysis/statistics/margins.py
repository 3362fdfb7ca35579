"""Does the smallest effect that matters fit the data: the seeds' spread, and the test set's size?"""

from __future__ import annotations

from math import sqrt

import numpy as np

from terminator.analysis.statistics.tests import BoolArray


def margin_warnings(
    margin: float, spread: float | None, test_images: int | None, *, scale: float = 100.0, unit: str = "points"
) -> tuple[str, ...]:
    """A sentence for each way in which `margin` asks for more than the data can show.

    `spread`: the typical standard deviation of a paired difference (`median_spread`), in the margin's unit; None where
    it is not known. `test_images`: None where the metric is no accuracy. `scale`: from the margin's unit to the shown.
    """
    found = []
    suffix = f" {unit}" if unit else ""
    asked = f"The smallest effect that matters, {margin * scale:.2g}{suffix},"
    if spread is not None and margin < spread:
        found.append(
            f"{asked} is below one typical spread of the differences between seeds, {spread * scale:.2g}{suffix}: "
            "to show that a difference is smaller takes many seeds."
        )
    if test_images is not None and margin < 1 / test_images:
        found.append(
            f"{asked} is below what one of {test_images:,} test images is worth, {scale / test_images:.2g}{suffix}."
        )
    return tuple(found)


def finite_test_set_noise(variant: BoolArray, baseline: BoolArray) -> float:
    """The standard error of the difference in accuracy that comes of the finite test set, as a fraction.

    Both are (runs, images), true where a run got an image right; images as they stand in one and the same test set,
    runs need not be as many. The trained networks are held fixed and the images are a sample: each image has one
    difference, the mean over the variant's runs less that over the baseline's, and their standard deviation over
    √images is the error. So images that both get wrong alike add nothing. Raises ValueError where the images differ in
    number, or are fewer than two.
    """
    if variant.shape[1] != baseline.shape[1] or variant.shape[1] < 2:
        raise ValueError(f"images={variant.shape[1]}, {baseline.shape[1]}: must be the same two images or more")
    differences = variant.mean(axis=0) - baseline.mean(axis=0)
    return float(np.std(differences, ddof=1)) / sqrt(len(differences))
