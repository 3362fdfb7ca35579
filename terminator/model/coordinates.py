"""The fixed grid that slow networks see (spec §1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def coordinate_grid(shape: Sequence[int]) -> Tensor:
    """Coordinates evenly spaced in [-1, 1] on every axis, ends included, `ij` order; float64 (points, axes)."""
    axes = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in shape]
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], dim=1)
