"""A plain large-kernel CNN: ConvMixer, A. Trockman and J. Z. Kolter, "Patches Are All You Need?", TMLR 2023,
arXiv 2201.09792, with patches of one pixel. On sequences the same with 1D convolutions: our adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from terminator.model.classifier import Classifier, ComparisonConfig, convolution
from terminator.model.config import require
from terminator.model.normalisation import BatchNorm


@dataclass(frozen=True)
class LargeKernelConfig(ComparisonConfig):
    """`depth` blocks with kernels of `kernel` pixels a side. Raises UserError for an even `kernel`."""

    architecture: str = "large_kernel_cnn"
    depth: int = 8
    channels: int = 128
    kernel: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.kernel >= 1 and self.kernel % 2 == 1, "kernel", self.kernel, "must be odd and positive")


Config = LargeKernelConfig


class ConvMixerBlock(nn.Module):
    """x ← x + BN(GELU(depth-wise x)), then BN(GELU(pointwise x)). (B, C, *pixels) → same."""

    def __init__(self, channels: int, kernel: int, axes: int, generator: torch.Generator) -> None:
        super().__init__()
        depthwise = convolution(channels, channels, kernel, axes, groups=channels, generator=generator)
        pointwise = convolution(channels, channels, 1, axes, generator=generator)
        self.spatial = nn.Sequential(depthwise, nn.GELU(), BatchNorm(channels))
        self.mixing = nn.Sequential(pointwise, nn.GELU(), BatchNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.mixing(x + self.spatial(x))
        return y


def build(
    config: LargeKernelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
) -> Classifier:
    """A pointwise stem, `depth` blocks, head; resolution stays."""
    axes = len(image_shape) - 1
    channels = config.scaled(config.channels)
    stem = [
        convolution(image_shape[0], channels, 1, axes, generator=generator),
        nn.GELU(),
        BatchNorm(channels),
    ]
    blocks = [ConvMixerBlock(channels, config.kernel, axes, generator) for _ in range(config.depth)]
    return Classifier(nn.Sequential(*stem, *blocks), channels, classes, generator=generator)
