"""The slow neural loss: local feedback to the slow networks only (§8)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from terminator.config import SlowLoss
from terminator.model.ops import tile_channels


def channel_sum_loss(kernels: Sequence[Tensor]) -> Tensor:
    """Σ over pairs j < i of mean((Σ_c K_j − Σ_c K_i)²). Kernels (1, C_i, *pixels), at least one → scalar."""
    sums = torch.stack([kernel.sum(1).flatten() for kernel in kernels])
    # over all pairs, Σ (s_j − s_i)² = n Σ (s_i − mean)²
    return len(kernels) * (sums - sums.mean(0)).square().sum(0).mean()


def tile_loss(kernels: Sequence[Tensor]) -> Tensor:
    """Σ over pairs j < i of mean((tile_channels(K_j) − K_i)²). Kernels (1, C_i, *pixels), at least one → scalar."""
    pairs = [
        (tile_channels(first, second.shape[1]) - second).square().mean() for first, second in combinations(kernels, 2)
    ]
    return torch.stack(pairs).sum() if pairs else kernels[0].new_zeros(())


def slow_loss(kernels: Sequence[Tensor], form: SlowLoss) -> Tensor:
    """The loss in this form; 0 where it is off, or where no block has a global slow network. Scalar."""
    if form is SlowLoss.off or not kernels:
        return torch.zeros((), device=kernels[0].device if kernels else None)
    return channel_sum_loss(kernels) if form is SlowLoss.channel_sum else tile_loss(kernels)
