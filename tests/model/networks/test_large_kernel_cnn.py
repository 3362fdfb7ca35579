"""The large-kernel CNN against ConvMixer's published formula."""

from __future__ import annotations

import pytest
import torch

from terminator.model.build import build
from terminator.model.networks.large_kernel_cnn import ConvMixerBlock, LargeKernelConfig


@pytest.mark.parametrize(("h", "d", "k", "c_in", "n"), [(256, 8, 5, 3, 10), (24, 3, 9, 1, 7)])
def test_parameters_follow_the_published_formula(h: int, d: int, k: int, c_in: int, n: int) -> None:
    """h [d (k² + h + 6) + c_in p² + n + 3] + n, patches of p = 1 (Trockman and Kolter 2022, appendix)."""
    network = build(LargeKernelConfig(depth=d, channels=h, kernel=k), image_shape=(c_in, 16, 16), classes=n)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == h * (d * (k**2 + h + 6) + c_in + n + 3) + n


def test_the_residual_goes_around_the_depthwise_part_alone() -> None:
    block = ConvMixerBlock(3, 5, axes=1, generator=torch.Generator())
    torch.nn.init.zeros_(block.spatial[2].weight)
    x = torch.randn(2, 3, 9)
    assert torch.equal(block(x), block.mixing(x))
