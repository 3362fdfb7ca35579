"""The local branch: a context-dependent depth-wise convolution (spec §2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.local_slow_network import build_local_slow_network
from terminator.model.mixer import Init, Mixer
from terminator.model.slow_network import SlowRecipe
from terminator.model.standardisation import BatchStandardise


def depthwise_convolution(kernel: Tensor, y: Tensor) -> Tensor:
    """kernel ⊛ Y, stride 1, zero padding (k−1)/2. (C, 1, k, …), (B, C, *pixels) → like Y."""
    convolve = F.conv1d if y.dim() == 3 else F.conv2d
    return convolve(y, kernel, padding=kernel.shape[-1] // 2, groups=kernel.shape[0])


class LocalBranch(nn.Module):
    """GELU(BS(mixer(kernel ⊛ Y))) + one scalar, the kernel made from a context. (B, C, *pixels) → same."""

    def __init__(
        self,
        channels: int,
        grid: Sequence[int],
        *,
        hidden: int,
        layers: int,
        recipe: SlowRecipe,
        has_context: bool,
        learn_renormalisation: bool,
    ) -> None:
        super().__init__()
        self.slow = build_local_slow_network(
            grid,
            channels,
            hidden=hidden,
            layers=layers,
            recipe=recipe,
            context_channels=channels if has_context else None,
            learn_renormalisation=learn_renormalisation,
        )
        self.mixer = Mixer(channels, channels, len(grid), init=Init.kaiming_normal, generator=recipe.generator)
        self.standardise = BatchStandardise()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """`context`: (1, C, *pixels), the mean over the batch of what the kernel depends on."""
        return self.convolve(self.slow(context), y) + self.bias

    def convolve(self, kernel: Tensor, y: Tensor) -> Tensor:
        """The branch for a given kernel, without its scalar."""
        return F.gelu(self.standardise(self.mixer(depthwise_convolution(kernel, y))))
