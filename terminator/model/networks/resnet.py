"""ResNet for small images: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition",
CVPR 2016, arXiv 1512.03385, §4.2. On sequences the same with 1D convolutions: our adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.classifier import Classifier, ComparisonConfig, convolution
from terminator.model.config import require
from terminator.model.normalisation import BatchNorm


@dataclass(frozen=True)
class ResNetConfig(ComparisonConfig):
    """Three stages of n residual blocks, 6n + 2 layers. Stages have `channels`, twice and four times as many.

    Raises UserError for another depth.
    """

    architecture: str = "resnet"
    depth: int = 20
    channels: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "a ResNet's must be 6n + 2: 8, 14, 20, 32, 44, 56, 110, …"
        require(self.depth >= 8 and self.depth % 6 == 2, "depth", self.depth, rule)

    def stage_blocks(self) -> int:
        """Residual blocks of a stage; each has two layers."""
        return (self.depth - 2) // 6

    def stage_channels(self) -> list[int]:
        """Each stage's channels."""
        return [self.scaled(self.channels * 2**stage) for stage in range(3)]

    def canonical(self, pixels: Sequence[int]) -> dict[str, Any]:
        return super().canonical(pixels) | {"channels": self.stage_channels()}


Config = ResNetConfig


class ResidualBlock(nn.Module):
    """ReLU(BN(conv(ReLU(BN(conv x)))) + shortcut x). (B, C, *pixels) → (B, out, *pixels / stride)."""

    def __init__(self, channels: int, out: int, stride: int, axes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.convolution_1 = convolution(channels, out, 3, axes, stride=stride, bias=False, generator=generator)
        self.norm_1 = BatchNorm(out)
        self.convolution_2 = convolution(out, out, 3, axes, bias=False, generator=generator)
        self.norm_2 = BatchNorm(out)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm_1(self.convolution_1(x)))
        y = self.norm_2(self.convolution_2(y))
        return F.relu(y + shortcut(x, y.shape[1], self.stride))


def shortcut(x: Tensor, channels: int, stride: int) -> Tensor:
    """Option A, without parameters: every `stride`-th pixel, new channels zero. (B, C, *pixels) → (B, channels, …)."""
    kept = x[:, :, ::stride] if x.dim() == 3 else x[:, :, ::stride, ::stride]
    return F.pad(kept, [0, 0] * (x.dim() - 2) + [0, channels - x.shape[1]])


def build(config: ResNetConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator) -> Classifier:
    """Convolution, three stages of residual blocks, head. The second and the third stage halve the pixels."""
    channels, axes = image_shape[0], len(image_shape) - 1
    first, *_ = outs = config.stage_channels()
    layers: list[nn.Module] = [
        convolution(channels, first, 3, axes, bias=False, generator=generator),
        BatchNorm(first),
        nn.ReLU(),
    ]
    channels = first
    for stage, out in enumerate(outs):
        for block in range(config.stage_blocks()):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(ResidualBlock(channels, out, stride, axes, generator))
            channels = out
    return Classifier(nn.Sequential(*layers), channels, classes, generator=generator)
