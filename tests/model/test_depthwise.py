"""Depth-wise convolution in strips against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from terminator.model.ops import depthwise_convolution


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11])
@pytest.mark.parametrize("pixels", [(8, 8), (4, 10), (6,)], ids=str)
def test_values_and_gradients_are_those_of_a_grouped_convolution(size: int, pixels: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (3, 1, *[size] * len(pixels))
    kernel = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(2, 3, *pixels, dtype=torch.float64, generator=generator, requires_grad=True)
    probe = torch.randn(2, 3, *pixels, dtype=torch.float64, generator=generator)
    convolve = F.conv2d if len(pixels) == 2 else F.conv1d

    expected = convolve(y, kernel, padding=size // 2, groups=3)
    gradients = torch.autograd.grad((expected * probe).sum(), (kernel, y))
    actual = depthwise_convolution(kernel, y)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(torch.autograd.grad((actual * probe).sum(), (kernel, y)), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_shift_by_hand() -> None:
    kernel = torch.tensor([[[0.0, 0.0, 1.0]]])  # reads the pixel to the right
    assert depthwise_convolution(kernel, torch.tensor([[[1.0, 2.0, 3.0]]])).flatten().tolist() == [2.0, 3.0, 0.0]
