"""The ResNet against its published sizes, and its shortcut against one worked by hand."""

from __future__ import annotations

import pytest
import torch

from terminator.model.build import build
from terminator.model.networks.resnet import ResidualBlock, ResNetConfig, shortcut


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)])
def test_parameters_are_the_published_ones(depth: int, millions: float) -> None:
    """He et al. 2016, Table 6."""
    network = build(ResNetConfig(depth=depth), image_shape=(3, 32, 32), classes=10)
    digits = 1 if millions > 1 else 2
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, digits) == millions


def test_the_last_stage_has_a_quarter_of_the_pixels_a_side() -> None:
    network = build(ResNetConfig(depth=8), image_shape=(3, 32, 32), classes=10)
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 8, 8)


def test_the_shortcut_takes_every_second_pixel_and_adds_zeros() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    expected = torch.tensor([[[[0.0, 2.0], [8.0, 10.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    assert torch.equal(shortcut(x, 2, 2), expected)
    assert torch.equal(shortcut(x[:, :, 1], 2, 2), torch.tensor([[[4.0, 6.0], [0.0, 0.0]]]))


def test_a_block_whose_second_norm_is_silent_is_the_rectified_shortcut() -> None:
    block = ResidualBlock(2, 4, 2, axes=2, generator=torch.Generator())
    torch.nn.init.zeros_(block.norm_2.weight)
    x = torch.randn(3, 2, 6, 6)
    assert torch.equal(block(x), shortcut(x, 4, 2).relu())


def test_stages() -> None:
    assert ResNetConfig(depth=56).stage_blocks() == 9
    assert ResNetConfig().stage_channels() == [16, 32, 64]
    assert ResNetConfig(width=1.7).stage_channels() == [27, 54, 109]
    assert ResNetConfig(width=0.01).stage_channels() == [1, 1, 1]
