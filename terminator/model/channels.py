"""Fitting one channel count to another."""

from __future__ import annotations

from torch import Tensor


def tile_channels(x: Tensor, channels: int) -> Tensor:
    """Repeat the channels in order, and cut at `channels`. (B, C, *pixels) → (B, channels, *pixels)."""
    repeats = -(-channels // x.shape[1])
    return x if x.shape[1] == channels else x.repeat(1, repeats, *[1] * (x.dim() - 2))[:, :channels]
