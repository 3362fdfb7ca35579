"""Hyper-channel interaction and hyper interaction (spec §5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from terminator.model.channels import pixel_mean
from terminator.model.hyperzzw import twice_elementwise
from terminator.model.slow_network import SlowRecipe, build_slow_network


class HyperChannelInteraction(nn.Module):
    """HCI: x ⊙ σ((k ⊙ s) ⊙ s), s the pixel mean of x, k from a channel slow network. (B, C, *pixels) → same."""

    def __init__(self, channels: int, *, hidden: int, layers: int, recipe: SlowRecipe) -> None:
        super().__init__()
        self.slow = build_slow_network((channels,), 1, hidden=hidden, layers=layers, recipe=recipe)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (1, 1, C), of `slow`."""
        s = pixel_mean(x).view(*x.shape[:2], *[1] * (x.dim() - 2))
        return x * torch.sigmoid(twice_elementwise(_over_channels(kernel, x), s)).to(x.dtype)


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

    def forward(self, source: Tensor, x: Tensor, channel_kernel: Tensor, spatial_kernel: Tensor) -> Tensor:
        """`channel_kernel`: (1, 1, C), of `channel_slow`. `spatial_kernel`: (1, 1, *pixels), of `spatial_slow`."""
        pixel_mean = source.mean(list(range(2, x.dim())), keepdim=True)  # (B, C, 1, …)
        channel_mean = source.mean(1, keepdim=True)  # (B, 1, *pixels)
        c = twice_elementwise(_over_channels(channel_kernel, x), pixel_mean)
        m = twice_elementwise(spatial_kernel, channel_mean)
        gate = torch.sigmoid(m.movedim(1, -1) * c.movedim(1, -1)).movedim(-1, 1)  # made channels-last, as x is
        return x * gate.to(x.dtype)


def _over_channels(kernel: Tensor, x: Tensor) -> Tensor:
    """(1, 1, C) → (1, C, 1, …)."""
    return kernel.view(1, -1, *[1] * (x.dim() - 2))
