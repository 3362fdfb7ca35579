"""FLOPs against ones worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.flop_counter import count_flops
from benchmarks.transformer import Transformer


def test_a_matrix_product_and_its_gradient() -> None:
    """A backward pass makes the weight's gradient alone, as the input needs none."""
    linear, x = nn.Linear(6, 5), torch.ones(4, 6)
    assert count_flops(lambda: linear(x)) == 2 * 4 * 6 * 5
    assert count_flops(lambda: linear(x).sum().backward()) == 2 * (2 * 4 * 6 * 5)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_convolution_and_its_gradients_with_any_groups(groups: int) -> None:
    x = torch.ones(3, 6, 8, 8, requires_grad=True)
    weight = torch.ones(6, 6 // groups, 5, 5, requires_grad=True)
    products = 2 * 3 * 8 * 8 * 6 * (6 // groups) * 5 * 5
    assert count_flops(lambda: F.conv2d(x, weight, padding=2, groups=groups)) == products
    assert count_flops(lambda: F.conv2d(x, weight, padding=2, groups=groups).sum().backward()) == 3 * products


def test_a_transformer_and_its_gradients() -> None:
    """Attention's backward pass makes one of its two products again: 2.5 times the forward pass."""
    tokens, width, classes = 10, 8, 2
    encoder = Transformer((3, tokens), width=width, layers=1, classes=classes)
    image = torch.ones(1, 3, tokens)
    embedding = 2 * tokens * 3 * width
    projections = 2 * tokens * (4 * width**2 + 8 * width**2) + 2 * width * classes
    attention = 2 * 2 * tokens**2 * width
    assert count_flops(lambda: encoder(image)) == embedding + projections + attention
    backward = embedding + 2 * projections + 2.5 * attention
    assert count_flops(lambda: encoder(image).sum().backward()) == embedding + projections + attention + backward
