"""A small continuous-kernel CNN: the block of CCNN, D. M. Knigge, D. W. Romero et al., "Modelling Long Range
Dependencies in ND", ICLR 2023, arXiv 2206.03398; its kernels from a SIREN as in CKConv, D. W. Romero et al., ICLR 2022,
arXiv 2102.02611. Kernels are as large as the input and centred (CKConv's are causal)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.classifier import Classifier, ComparisonConfig, convolution
from terminator.model.config import SlowNetworkKind, require
from terminator.model.kernels import SlowNetwork, SlowRecipe, generate_kernels
from terminator.model.normalisation import BatchNorm
from terminator.model.ops import at_least_float32, pixel_axes


@dataclass(frozen=True)
class ContinuousKernelConfig(ComparisonConfig):
    """`kernel_hidden`, `kernel_layers`, `omega_0`: the SIREN that makes the kernels.

    Raises UserError for a value outside its field's rule.
    """

    architecture: str = "ckcnn"
    depth: int = 4
    channels: int = 110
    kernel_hidden: int = 32
    kernel_layers: int = 2
    omega_0: float = 10.0  # below the Nyquist rate of an 8×8 grid, 11 rad per unit
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_hidden", "kernel_layers"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        require(0 < self.omega_0 < float("inf"), "omega_0", self.omega_0, "must be positive and finite")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "must be at least 0, below 1")


Config = ContinuousKernelConfig


def centred_convolution(kernel: Tensor, x: Tensor) -> Tensor:
    """Depth-wise cross-correlation with zero padding, by FFT; the kernel's point ⌊k/2⌋ lies on the pixel itself.

    (1, C, *pixels), (B, C, *pixels) → like x. The same as PyTorch's convolution where sizes are odd.
    """
    x = at_least_float32(x)  # there is no FFT in bfloat16
    kernel, dims = kernel.to(x.dtype), pixel_axes(x)
    sizes = [2 * size for size in x.shape[2:]]  # linear rather than circular: no pixel meets another from behind
    spectrum = torch.fft.rfftn(x, s=sizes, dim=dims) * torch.fft.rfftn(kernel.flip(dims), s=sizes, dim=dims)
    full: Tensor = torch.fft.irfftn(spectrum, s=sizes, dim=dims)
    for dim in dims:
        full = full.narrow(dim, (x.shape[dim] - 1) // 2, x.shape[dim])
    return full


class ContinuousKernelConvolution(nn.Module):
    """Depth-wise with a kernel as large as the input, + bias, then pointwise. (B, C, *pixels) → (B, out, *pixels)."""

    def __init__(
        self, channels: int, out: int, pixels: Sequence[int], config: ContinuousKernelConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        size = config.kernel_hidden, config.kernel_layers
        recipe = SlowRecipe(SlowNetworkKind.siren, config.omega_0, *size, generator=generator)
        self.kernel = SlowNetwork(pixels, channels, recipe)
        self.bias = nn.Parameter(torch.zeros(channels, *[1] * len(pixels)))
        self.pointwise = convolution(channels, out, 1, len(pixels), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(centred_convolution(generate_kernels([self.kernel])[0], x) + self.bias)
        return y


class ContinuousKernelBlock(nn.Module):
    """x + GELU(pointwise(dropout(GELU(conv(BN(x)))))). (B, C, *pixels) → same."""

    def __init__(
        self, channels: int, pixels: Sequence[int], config: ContinuousKernelConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        axes = len(pixels)
        self.norm = BatchNorm(channels)
        self.convolution = ContinuousKernelConvolution(channels, channels, pixels, config, generator)
        self.dropout = nn.Dropout1d(config.dropout) if axes == 1 else nn.Dropout2d(config.dropout)
        self.pointwise = convolution(channels, channels, 1, axes, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(F.gelu(self.convolution(self.norm(x))))
        return x + F.gelu(self.pointwise(y))


class ContinuousKernelCNN(Classifier):
    """A classifier whose penalty leaves out the networks that make its kernels."""

    unpenalised = (SlowNetwork,)


def build(
    config: ContinuousKernelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
) -> ContinuousKernelCNN:
    """A stem (convolution, BN, GELU), `depth` blocks, BN, head; resolution stays."""
    image_channels, *pixels = image_shape
    channels = config.scaled(config.channels)
    stem = [
        ContinuousKernelConvolution(image_channels, channels, pixels, config, generator),
        BatchNorm(channels),
        nn.GELU(),
    ]
    blocks = [ContinuousKernelBlock(channels, pixels, config, generator) for _ in range(config.depth)]
    features = nn.Sequential(*stem, *blocks, BatchNorm(channels))
    return ContinuousKernelCNN(features, channels, classes, generator=generator)
