"""Joining features by their channels, which lie innermost in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def channels_last(x: Tensor) -> Tensor:
    """The same numbers with the channels innermost in memory, where mixers are quick. (B, C, *pixels) → same."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def concatenate(features: Sequence[Tensor]) -> Tensor:
    """Side by side along the channels, in channels-last layout whatever that of the features."""
    return torch.cat([x.movedim(1, -1) for x in features], dim=-1).movedim(-1, 1)


def tile_channels(x: Tensor, channels: int) -> Tensor:
    """Repeat the channels in order, and cut at `channels`. (B, C, *pixels) → (B, channels, *pixels)."""
    repeats = -(-channels // x.shape[1])
    return x if x.shape[1] == channels else x.repeat(1, repeats, *[1] * (x.dim() - 2))[:, :channels]
