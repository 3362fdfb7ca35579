"""The convolution of the comparison models, for images and sequences alike: `axes` is 2 or 1."""

from __future__ import annotations

import torch
from torch import nn


def convolution(
    channels: int,
    out: int,
    size: int,
    axes: int,
    *,
    generator: torch.Generator,
    stride: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Module:
    """A convolution of odd size, zero-padded to keep the pixels at stride 1. (B, channels, *pixels) → (B, out, …).

    Weights: normal, variance 2 / fan-in (He et al. 2015, 1502.01852). Biases: 0.
    """
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    layer = kind(channels, out, size, stride=stride, padding=size // 2, groups=groups, bias=bias)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
