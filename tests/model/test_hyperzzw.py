"""The three products by hand or by their definition."""

from __future__ import annotations

import pytest
import torch

from terminator.errors import UserError
from terminator.model.config import Product
from terminator.model.ops import choose_product, twice_elementwise

KERNEL = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
Y = torch.tensor([[[[5.0, 6.0], [7.0, 8.0]]]])


def test_twice_elementwise() -> None:
    assert twice_elementwise(KERNEL, Y).flatten().tolist() == [25, 72, 147, 256]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (Product.matmul, [19, 22, 43, 50]),
        (Product.hadamard, [5, 12, 21, 32]),
        (Product.auto, [19, 22, 43, 50]),
        # circular: out[p] = Σ_q K[q] Y[p − q], over √4
        (Product.fft, [70 / 2, 68 / 2, 62 / 2, 60 / 2]),
    ],
)
def test_images_by_hand(word: Product, expected: list[float]) -> None:
    (product,) = choose_product(word, (2, 2))(KERNEL, [Y])
    torch.testing.assert_close(product.flatten(), torch.tensor(expected, dtype=torch.float))


def test_sequences_take_the_hadamard_product_unless_told_otherwise() -> None:
    kernel, y = KERNEL.flatten(2), Y.flatten(2)
    assert choose_product(Product.auto, (4,))(kernel, [y])[0].flatten().tolist() == [5, 12, 21, 32]
    assert choose_product(Product.matmul, (4,))(kernel, [y])[0].flatten().tolist() == [19, 22, 43, 50]
    # out[p] = Σ_q K[q] Y[p − q], over √4
    torch.testing.assert_close(
        choose_product(Product.fft, (4,))(kernel, [y])[0].flatten(), torch.tensor([66.0, 68.0, 66.0, 60.0]) / 2
    )


def test_one_kernel_serves_a_whole_batch_and_several_factors() -> None:
    batch = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    for word in (Product.matmul, Product.hadamard, Product.fft):
        product = choose_product(word, (4, 4))
        together = product(batch[:1], [batch, 2 * batch])
        torch.testing.assert_close(together[1], 2 * together[0])
        torch.testing.assert_close(together[0][2:], product(batch[:1], [batch[2:]])[0])


@pytest.mark.parametrize(("pixels", "said"), [((4, 6), "4×6"), ((10,), "10")])
def test_a_matrix_product_wants_something_square(pixels: tuple[int, ...], said: str) -> None:
    with pytest.raises(UserError, match=f"model.product=matmul: needs square images or a square length, not {said} "):
        choose_product(Product.matmul, pixels)
