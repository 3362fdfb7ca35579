"""The continuous-kernel CNN: its convolution against PyTorch's, and its reach."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from terminator.model.build import build
from terminator.model.networks.ckcnn import ContinuousKernelConfig, ContinuousKernelConvolution, centred_convolution


@pytest.mark.parametrize("shape", [(9,), (5, 7)], ids=str)
def test_the_centred_convolution_is_pytorchs(shape: tuple[int, ...]) -> None:
    kernel = torch.randn(1, 3, *shape, dtype=torch.float64)
    x = torch.randn(2, 3, *shape, dtype=torch.float64)
    convolve = F.conv1d if len(shape) == 1 else F.conv2d
    padding = [size // 2 for size in shape]
    expected = convolve(x, kernel.transpose(0, 1), padding=padding, groups=3)
    torch.testing.assert_close(centred_convolution(kernel, x), expected, rtol=1e-12, atol=1e-12)


def test_an_even_kernels_middle_point_lies_on_the_pixel() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    for point, expected in [(2, [1.0, 2.0, 3.0, 4.0]), (1, [0.0, 1.0, 2.0, 3.0]), (3, [2.0, 3.0, 4.0, 0.0])]:
        kernel = torch.zeros(1, 1, 4)
        kernel[0, 0, point] = 1
        torch.testing.assert_close(centred_convolution(kernel, x), torch.tensor([[expected]]), rtol=0, atol=1e-6)


def test_bfloat16_is_convolved_in_float32() -> None:
    x = torch.randn(1, 2, 8)
    half = centred_convolution(torch.ones(1, 2, 8), x.bfloat16())
    torch.testing.assert_close(half, centred_convolution(torch.ones(1, 2, 8), x.bfloat16().float()))


def test_one_convolution_reaches_across_half_the_sequence() -> None:
    config = ContinuousKernelConfig(channels=2, kernel_hidden=8)
    layer = ContinuousKernelConvolution(2, 2, (64,), config, torch.Generator().manual_seed(0))
    x = torch.zeros(1, 2, 64, requires_grad=True)
    layer(x)[0, :, 32].sum().backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum(0) > 0).all()


def test_parameters_by_hand() -> None:
    """SIREN (1 → 4, one layer 4 → 4, 4 → C), bias, pointwise; twice in two norms, one more norm, head."""
    config = ContinuousKernelConfig(depth=1, channels=3, kernel_hidden=4, kernel_layers=1)
    network = build(config, image_shape=(2, 16), classes=5)
    stem = (8 + 20 + (4 * 2 + 2)) + 2 + (2 * 3 + 3)
    block = 2 * 3 + (8 + 20 + (4 * 3 + 3)) + 3 + (3 * 3 + 3) + (3 * 3 + 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == stem + 6 + block + 6 + (3 * 5 + 5)
