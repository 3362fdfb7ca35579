"""The HyperZZW operator (spec §2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from terminator.errors import UserError
from terminator.model.channels import channels_first
from terminator.model.config import Product


def twice_elementwise(kernel: Tensor, z: Tensor) -> Tensor:
    """The 2E operator of the interactions, (k ⊙ z) ⊙ z."""
    return kernel * z * z


def matrix_products(kernel: Tensor, ys: Sequence[Tensor]) -> list[Tensor]:
    """K̂ ⊗ Y as a matrix product per sample and channel; (B, C, N, N) → same, a sequence of L as √L × √L."""
    if kernel.dim() == 3:
        side = math.isqrt(kernel.shape[2])
        squares = [x.contiguous().view(*x.shape[:2], side, side) for x in (kernel, *ys)]
        return [product.flatten(2) for product in matrix_products(squares[0], squares[1:])]
    kernel = channels_first(kernel)  # once for all: the library wants the matrix itself innermost
    return [kernel @ channels_first(y) for y in ys]


def hadamard_products(kernel: Tensor, ys: Sequence[Tensor]) -> list[Tensor]:
    """K̂ ⊗ Y elementwise; (B, C, *pixels) → same. For sequences our interpretation (spec §2 OPEN)."""
    return [kernel * y for y in ys]


def circular_convolutions(kernel: Tensor, ys: Sequence[Tensor]) -> list[Tensor]:
    """K̂ ⊗ Y as a depth-wise circular convolution by FFT; (B, C, *pixels) → same. Our interpretation (spec §2 OPEN).

    Scaled by 1/√points, so that white features keep their variance whatever the size.
    """
    dims = list(range(2, kernel.dim()))
    spectrum = torch.fft.rfftn(_full(kernel), dim=dims, norm="ortho")
    convolved: list[Tensor] = []
    for y in ys:
        product = spectrum * torch.fft.rfftn(_full(y), dim=dims)
        convolved.append(torch.fft.irfftn(product, s=kernel.shape[2:], dim=dims).to(y.dtype))
    return convolved


def _full(x: Tensor) -> Tensor:
    """FFTs want at least float32."""
    return x.float() if x.dtype is torch.bfloat16 else x


def choose_product(kind: Product, pixels: Sequence[int]) -> Callable[[Tensor, Sequence[Tensor]], list[Tensor]]:
    """The ⊗ of this word on these pixels: K̂ and several Y → K̂ ⊗ Y each. Raises UserError where a matrix product finds
    nothing square."""
    if kind is Product.auto:
        kind = Product.hadamard if len(pixels) == 1 else Product.matmul
    if kind is Product.hadamard:
        return hadamard_products
    if kind is Product.fft:
        return circular_convolutions
    is_square = pixels[0] == pixels[-1] if len(pixels) == 2 else math.isqrt(pixels[0]) ** 2 == pixels[0]
    if not is_square:
        size = "×".join(str(side) for side in pixels)
        raise UserError(f"model.product=matmul: needs square images or a square length, not {size} (or hadamard, fft)")
    return matrix_products
