"""The frame of the comparison models: features → pixel mean → linear head, as in Terminator (spec §7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from terminator.model.kernels import SlowNetwork
from terminator.model.terminator import Output


class Classifier(nn.Module):
    """Images (B, C, *pixels) → Output without kernels. `features` ends in (B, channels, …)."""

    def __init__(self, features: nn.Module, channels: int, classes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(channels, classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Output:
        features = self.features(images)
        return Output(self.head(features.flatten(2).mean(2)), ())

    def penalty(self) -> Tensor:
        """Terminator's rule (spec §8) carried over: the sum of the norms of the parameters outside the head and the
        slow networks; scalar."""
        slow = [module for module in self.features.modules() if isinstance(module, SlowNetwork)]
        free = {id(parameter) for network in slow for parameter in network.parameters()}
        return torch.stack([each.norm() for each in self.features.parameters() if id(each) not in free]).sum()


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
