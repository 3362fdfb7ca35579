"""The 1×1 convolution over channels, alone and several side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Init(Enum):
    """How a mixer's weight starts."""

    kaiming_normal = "kaiming_normal"
    kaiming_uniform_linear = "kaiming_uniform_linear"
    default = "default"  # PyTorch's own for linear and convolution layers, the bias included


class Mixer(nn.Module):
    """A 1×1 convolution over channels, with bias. (B, C, *pixels) → (B, out, *pixels).

    Its weight has convolution shape, (out, C, 1, …, 1), one 1 an axis of the pixels. Quick on channels-last features.
    """

    def __init__(
        self, channels: int, out: int, axes: int, *, init: Init, generator: torch.Generator, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, channels, *[1] * axes))
        self.bias = nn.Parameter(torch.full((out,), bias))
        if init is Init.kaiming_normal:
            nn.init.kaiming_normal_(self.weight, generator=generator)
        elif init is Init.kaiming_uniform_linear:
            nn.init.kaiming_uniform_(self.weight, nonlinearity="linear", generator=generator)
        else:
            bound = 1 / math.sqrt(channels)
            nn.init.uniform_(self.weight, -bound, bound, generator=generator)
            nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return mix(x, self.weight, self.bias)

    @property
    def matrix(self) -> Tensor:
        """The weight as (out, C)."""
        return self.weight.flatten(1)


FEW_POINTS = 4096  # of all samples: up to here a CPU multiplies matrices more quickly than it convolves


def mix(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What a mixer with this weight and bias does."""
    channels = x.shape[1]
    few = channels == 1 or x.numel() <= FEW_POINTS * channels
    if few and x.device.type == "cpu" and not torch.compiler.is_compiling():
        return F.linear(x.movedim(1, -1), weight.flatten(1), bias).movedim(-1, 1)
    if x.dim() == 3:  # a row of pixels: of a column PyTorch does not see that it is channels-last
        return F.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias).squeeze(2)
    return F.conv2d(x, weight, bias)


def mix_ref(mixer: Mixer, x: Tensor) -> Tensor:
    """`mixer(x)`, channels first."""
    convolution = F.conv2d if x.dim() == 4 else F.conv1d
    return convolution(x, mixer.weight, mixer.bias, padding="same")


class Mixers(nn.ModuleList):
    """A list of mixers."""

    def __iter__(self) -> Iterator[Mixer]:
        return super().__iter__()  # type: ignore[return-value]

    def __getitem__(self, index: int) -> Mixer:  # type: ignore[override]
        return super().__getitem__(index)  # type: ignore[return-value]


class StackedMixers(NamedTuple):
    """n mixers of one shape: weight (n, in, out), bias (n, 1, out)."""

    weight: Tensor
    bias: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """Each mixer on its own rows: (n, points, in) → (n, points, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


def stack(mixers: Sequence[Mixer], groups: int | None = None) -> StackedMixers:
    """Put mixers of one shape side by side; with `groups`, the outputs of each group in a row."""
    groups = groups or len(mixers)
    weight = torch.cat([mixer.weight for mixer in mixers]).view(groups, -1, mixers[0].weight.shape[1])
    return StackedMixers(weight.transpose(1, 2), torch.cat([mixer.bias for mixer in mixers]).view(groups, 1, -1))
