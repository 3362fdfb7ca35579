"""Operations on features by hand, or against their plain references, in values, gradients and layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.errors import UserError
from terminator.model.config import Product
from terminator.model.ops import (
    channels_last,
    concatenate,
    depthwise_convolution,
    depthwise_convolution_ref,
    hyper_product,
    pooling_bins,
    tile_channels,
    tile_channels_ref,
    twice_elementwise,
)

KERNEL = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
Y = torch.tensor([[[[5.0, 6.0], [7.0, 8.0]]]])


def multiplied(kind: Product, kernel: Tensor, y: Tensor) -> Tensor:
    product = hyper_product(kind, kernel.shape[2:])
    return product.multiply(product.prepare(kernel), y)


def test_tiling_repeats_in_order_and_cuts() -> None:
    x = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert tile_channels(x, 7).flatten().tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert tile_channels(x, 2).flatten().tolist() == [1, 2]
    assert torch.equal(tile_channels_ref(x, 7), tile_channels(x, 7))


def test_concatenation_is_channels_last_and_hands_back_gradients_in_each_features_layout() -> None:
    first = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    last = channels_last(torch.randn(2, 5, 4, 4, dtype=torch.float64))
    features = [first.requires_grad_(), last.requires_grad_()]
    joined = concatenate(features)
    assert torch.equal(joined, torch.cat(features, dim=1))
    assert joined.is_contiguous(memory_format=torch.channels_last)
    probe = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    of_first, of_last = torch.autograd.grad((joined * probe).sum(), features)
    assert torch.equal(of_first, probe[:, :3])
    assert torch.equal(of_last, probe[:, 3:])
    assert of_first.is_contiguous()
    assert of_last.is_contiguous(memory_format=torch.channels_last)


def test_twice_elementwise() -> None:
    assert twice_elementwise(KERNEL, Y).flatten().tolist() == [25, 72, 147, 256]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Product.matmul, [19, 22, 43, 50]),
        (Product.hadamard, [5, 12, 21, 32]),
        # circular: out[p] = Σ_q K[q] Y[p − q], over √4
        (Product.fft, [70 / 2, 68 / 2, 62 / 2, 60 / 2]),
    ],
)
def test_images_by_hand(kind: Product, expected: list[float]) -> None:
    torch.testing.assert_close(multiplied(kind, KERNEL, Y).flatten(), torch.tensor(expected, dtype=torch.float))


def test_sequences_by_hand() -> None:
    kernel, y = KERNEL.flatten(2), Y.flatten(2)
    assert multiplied(Product.hadamard, kernel, y).flatten().tolist() == [5, 12, 21, 32]
    assert multiplied(Product.matmul, kernel, y).flatten().tolist() == [19, 22, 43, 50]
    # out[p] = Σ_q K[q] Y[p − q], over √4
    circular = torch.tensor([66.0, 68.0, 66.0, 60.0]) / 2
    torch.testing.assert_close(multiplied(Product.fft, kernel, y).flatten(), circular)


@pytest.mark.parametrize("kind", [Product.matmul, Product.hadamard, Product.fft])
def test_one_kernel_serves_a_whole_batch(kind: Product) -> None:
    batch = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    together = multiplied(kind, batch[:1], batch)
    torch.testing.assert_close(multiplied(kind, batch[:1], 2 * batch), 2 * together)
    torch.testing.assert_close(multiplied(kind, batch[:1], batch[2:]), together[2:])


@pytest.mark.parametrize(("pixels", "size"), [((4, 6), "4×6"), ((10,), "10")])
def test_a_matrix_product_wants_something_square(pixels: tuple[int, ...], size: str) -> None:
    with pytest.raises(UserError, match=f"model.product=matmul: needs square images or a square length, not {size} "):
        hyper_product(Product.matmul, pixels)


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11])
@pytest.mark.parametrize("pixels", [(8, 8), (4, 10), (6,)], ids=str)
def test_values_and_gradients_are_those_of_a_grouped_convolution(size: int, pixels: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    shape = (3, 1, *[size] * len(pixels))
    kernel = torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
    y = torch.randn(2, 3, *pixels, dtype=torch.float64, generator=generator, requires_grad=True)
    probe = torch.randn(2, 3, *pixels, dtype=torch.float64, generator=generator)

    expected = depthwise_convolution_ref(kernel, y)
    gradients = torch.autograd.grad((expected * probe).sum(), (kernel, y))
    actual = depthwise_convolution(kernel, y)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(torch.autograd.grad((actual * probe).sum(), (kernel, y)), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_shift_by_hand() -> None:
    kernel = torch.tensor([[[0.0, 0.0, 1.0]]])  # reads the pixel to the right
    assert depthwise_convolution(kernel, torch.tensor([[[1.0, 2.0, 3.0]]])).flatten().tolist() == [2.0, 3.0, 0.0]


@pytest.mark.parametrize(("pixels", "size"), [((8, 8), 3), ((6, 10), 5), ((4, 4), 7), ((9,), 3), ((5,), 5)], ids=str)
def test_pooling_is_pytorchs(pixels: tuple[int, ...], size: int) -> None:
    x = torch.randn(1, 2, *pixels, generator=torch.Generator().manual_seed(0))
    bins = pooling_bins(pixels, [size] * len(pixels))
    pooled = (bins @ x.flatten(2).squeeze(0).t()) / bins.sum(1, keepdim=True)
    pool = F.adaptive_avg_pool2d if len(pixels) == 2 else F.adaptive_avg_pool1d
    torch.testing.assert_close(pooled.t(), pool(x, size).flatten(2).squeeze(0))
