"""How far numbers are from golden ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Deviation:
    """The largest relative deviation of a kind of numbers, which tensor has it, and how large it may be."""

    name: str
    value: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        # written so that NaN is not within
        return self.value <= self.tolerance


def largest_deviation(actual: Mapping[str, Tensor | None], golden: Mapping[str, Tensor], tolerance: float) -> Deviation:
    """The worst tensor by max |actual − golden| / max |golden|. A tensor that one side lacks deviates infinitely.
    Raises ValueError where there is nothing to compare with.

    A tensor's scale is at least 1e-6 of the file's largest number of this kind: some gradients are zero but for
    rounding (§9.6), and noise has no relative accuracy.
    """
    if not golden:
        raise ValueError("the file holds nothing to compare with")
    floor = 1e-6 * max(float(tensor.abs().max()) for tensor in golden.values())
    worst = Deviation("nothing", 0.0, tolerance)
    for name in sorted({*actual, *golden}):
        value = _deviation(actual.get(name), golden.get(name), floor)
        if not value <= worst.value:
            worst = Deviation(name, value, tolerance)
    return worst


def _deviation(actual: Tensor | None, golden: Tensor | None, floor: float) -> float:
    if actual is None and golden is None:
        return 0.0
    if actual is None or golden is None or actual.shape != golden.shape:
        return float("inf")
    return float((actual.detach() - golden).abs().max() / max(float(golden.abs().max()), floor))
