"""Hyper-channel interaction and hyper interaction (spec §5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from terminator.model.hyperzzw import twice_elementwise
from terminator.model.slow_network import SlowRecipe, build_slow_network


class HyperChannelInteraction(nn.Module):
    """HCI: x ⊙ σ((k ⊙ s) ⊙ s), s the pixel mean of x, k from a channel slow network. (B, C, *pixels) → same."""

    def __init__(self, channels: int, *, hidden: int, layers: int, recipe: SlowRecipe) -> None:
        super().__init__()
        self.slow = build_slow_network((channels,), 1, hidden=hidden, layers=layers, recipe=recipe)

    def forward(self, x: Tensor) -> Tensor:
        s = x.flatten(2).mean(2)  # (B, C)
        score = twice_elementwise(self.slow().flatten(), s)
        return x * torch.sigmoid(_over_pixels(score, x))


class HyperInteraction(nn.Module):
    """HI: x ⊙ σ(m ⊙ c), c and m from a source's pixel and channel means. Twice (B, C, *pixels) → same."""

    def __init__(
        self,
        channels: int,
        pixels: Sequence[int],
        *,
        channel_hidden: int,
        spatial_hidden: int,
        layers: int,
        recipe: SlowRecipe,
    ) -> None:
        super().__init__()
        self.channel_slow = build_slow_network((channels,), 1, hidden=channel_hidden, layers=layers, recipe=recipe)
        self.spatial_slow = build_slow_network(pixels, 1, hidden=spatial_hidden, layers=layers, recipe=recipe)

    def forward(self, source: Tensor, x: Tensor) -> Tensor:
        c = twice_elementwise(self.channel_slow().flatten(), source.flatten(2).mean(2))  # (B, C)
        m = twice_elementwise(self.spatial_slow(), source.mean(1, keepdim=True))  # (B, 1, *pixels)
        return x * torch.sigmoid(m * _over_pixels(c, x))


def _over_pixels(score: Tensor, x: Tensor) -> Tensor:
    """(B, C) → (B, C, 1, …, 1)."""
    return score.view(*score.shape, *[1] * (x.dim() - 2))
