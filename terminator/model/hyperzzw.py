"""The HyperZZW operator (spec §2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from terminator.errors import UserError
from terminator.model.config import Product


def twice_elementwise(kernel: Tensor, z: Tensor) -> Tensor:
    """The 2E operator of the interactions, (k ⊙ z) ⊙ z."""
    return kernel * z * z


def matrix_product(kernel: Tensor, y: Tensor) -> Tensor:
    """K̂ ⊗ Y as a matrix product per sample and channel; (B, C, N, N) → same, a sequence of L as √L × √L."""
    if y.dim() == 3:
        side = math.isqrt(y.shape[2])
        square = (*y.shape[:2], side, side)
        return matrix_product(kernel.expand_as(y).reshape(square), y.reshape(square)).flatten(2)
    return kernel @ y


def hadamard_product(kernel: Tensor, y: Tensor) -> Tensor:
    """K̂ ⊗ Y elementwise; (B, C, *pixels) → same. For sequences our interpretation (spec §2 OPEN)."""
    return kernel * y


def circular_convolution(kernel: Tensor, y: Tensor) -> Tensor:
    """K̂ ⊗ Y as a depth-wise circular convolution by FFT; (B, C, *pixels) → same. Our interpretation (spec §2 OPEN).

    Scaled by 1/√points, so that white features keep their variance whatever the size.
    """
    dims = list(range(2, y.dim()))
    spectrum = torch.fft.rfftn(kernel, dim=dims) * torch.fft.rfftn(y, dim=dims, norm="ortho")
    convolved: Tensor = torch.fft.irfftn(spectrum, s=y.shape[2:], dim=dims)
    return convolved


def choose_product(kind: Product, pixels: Sequence[int]) -> Callable[[Tensor, Tensor], Tensor]:
    """The ⊗ of this word on these pixels. Raises UserError where a matrix product finds nothing square."""
    if kind is Product.auto:
        kind = Product.hadamard if len(pixels) == 1 else Product.matmul
    if kind is Product.hadamard:
        return hadamard_product
    if kind is Product.fft:
        return circular_convolution
    square = pixels[0] == pixels[-1] if len(pixels) == 2 else math.isqrt(pixels[0]) ** 2 == pixels[0]
    if not square:
        size = "×".join(str(side) for side in pixels)
        raise UserError(f"model.product=matmul: needs square images or a square length, not {size} (or hadamard, fft)")
    return matrix_product
