"""Every network's output, and the frame of the comparison networks: features → pixel mean → linear head, as in
Terminator (docs/architecture.md §7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from terminator.model.config import ModelConfig, require


class Output(NamedTuple):
    """logits (B, classes); kernels: K_g of each block that has one, (1, C_i, *pixels)."""

    logits: Tensor
    kernels: tuple[Tensor, ...]


@dataclass(frozen=True)
class ComparisonConfig(ModelConfig):
    """What the comparison networks have: `depth` layers or blocks, `channels` wide at width 1.

    Raises UserError for a size below 1, and for a width that is not positive and finite.
    """

    depth: int = 1
    channels: int = 1

    def __post_init__(self) -> None:
        for name in ("depth", "channels"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(0 < self.width < float("inf"), "width", self.width, "must be positive and finite")

    def scaled(self, channels: int) -> int:
        """`channels` at this width, at least one."""
        return max(round(channels * self.width), 1)

    def canonical(self, pixels: Sequence[int]) -> dict[str, Any]:
        return super().canonical(pixels) | {"width": 1.0, "channels": self.scaled(self.channels)}


class Classifier(nn.Module):
    """Images (B, C, *pixels) → Output without kernels. `features` ends in (B, channels, …)."""

    unpenalised: tuple[type[nn.Module], ...] = ()  # kinds of modules that the penalty leaves out

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
        """Terminator's rule (§8) carried over: the sum of the norms of the parameters outside the head and of what is
        `unpenalised`; scalar."""
        spared = [module for module in self.features.modules() if isinstance(module, self.unpenalised)]
        free = {id(parameter) for module in spared for parameter in module.parameters()}
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
