"""Adaptive average pooling as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor


def pooling_bins(pixels: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Which pixels PyTorch's adaptive_avg_pool averages for each point of `grid`: (grid points, pixels) of 0 and 1."""
    return reduce(torch.kron, [_axis(size, bins) for size, bins in zip(pixels, grid, strict=True)])


def _axis(size: int, bins: int) -> Tensor:
    matrix = torch.zeros(bins, size)
    for i in range(bins):
        matrix[i, i * size // bins : -(-(i + 1) * size // bins)] = 1
    return matrix
