"""Joining features by their channels, which lie innermost in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.errors import UserError
from terminator.model.config import Product


def channels_last(x: Tensor) -> Tensor:
    """The same numbers with the channels innermost in memory, where mixers are quick. (B, C, *pixels) → same."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def channels_first(x: Tensor) -> Tensor:
    """The same numbers with the pixels innermost in memory; the gradient comes back channels-last, as x's other
    gradients do, so that they add up at full speed. (B, C, *pixels) → same."""
    if torch.compiler.is_compiling() or x.is_contiguous():
        return x.contiguous()
    first: Tensor = _ChannelsFirst.apply(x)  # type: ignore[no-untyped-call]
    return first


class _ChannelsFirst(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.contiguous()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return channels_last(gradients[0])


def concatenate(features: Sequence[Tensor]) -> Tensor:
    """Side by side along the channels, in channels-last layout whatever that of the features."""
    if torch.compiler.is_compiling():
        return _concatenate(features)
    joined: Tensor = _Concatenate.apply(*features)  # type: ignore[no-untyped-call]
    return joined


def _concatenate(features: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.movedim(1, -1) for x in features], dim=-1).movedim(-1, 1)


class _Concatenate(torch.autograd.Function):
    """Hands each feature a gradient in its own layout, as whole memory.

    PyTorch's own would hand out slices, a few channels of each pixel: too short for vector instructions, which makes
    GELU's backward ten times slower on narrow blocks.
    """

    @staticmethod
    def forward(ctx: Any, *features: Tensor) -> Tensor:
        ctx.channels = [x.shape[1] for x in features]
        ctx.channels_first = [x.is_contiguous() for x in features]
        return _concatenate(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        slices = torch.split(gradients[0], ctx.channels, dim=1)
        return tuple(
            x.contiguous() if first else channels_last(x) for x, first in zip(slices, ctx.channels_first, strict=True)
        )


def multiply_samples(x: Tensor, weight: Tensor) -> Tensor:
    """x ⊙ weight, the same weight for all samples; quick in backward's sum over them, since that is made as it lies in
    memory. (B, C, *pixels), (1, C, *pixels) → like x."""
    return (x.movedim(1, -1) * weight.movedim(1, -1)).movedim(-1, 1)


def pixel_mean(x: Tensor) -> Tensor:
    """Over the pixels; of channels-last features, and so are the gradients that it hands back. (B, C, *pixels) →
    (B, C)."""
    return x.movedim(1, -1).flatten(1, -2).mean(1)


def tile_channels(x: Tensor, channels: int) -> Tensor:
    """Repeat the channels in order, and cut at `channels`; channels-last. (B, C, *pixels) → (B, channels, *pixels)."""
    if x.shape[1] == channels:
        return x
    repeats = -(-channels // x.shape[1])
    tiled = x.movedim(1, -1).repeat(*[1] * (x.dim() - 1), repeats)[..., :channels]
    return tiled.movedim(-1, 1)


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


STRIP = 3  # columns: the widest kernel whose gradient oneDNN has fast code for


def depthwise_convolution(kernel: Tensor, y: Tensor) -> Tensor:
    """kernel ⊛ Y, stride 1, zero padding (k−1)/2. (C, 1, k), (B, C, L) or (C, 1, k, k), (B, C, H, W) → like Y."""
    if y.dim() == 3:  # a row of pixels: of a column PyTorch does not see that it is channels-last
        return depthwise_convolution(kernel.unsqueeze(2), y.unsqueeze(2)).squeeze(2)
    if torch.is_autocast_enabled(y.device.type):
        y = y.to(torch.get_autocast_dtype(y.device.type))
    kernel = kernel.to(y.dtype)
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    in_strips = y.device.type == "cpu" and min(kernel.shape[2:]) > STRIP and not torch.compiler.is_compiling()
    if in_strips and torch.is_grad_enabled() and kernel.requires_grad:
        convolved: Tensor = _Depthwise.apply(kernel, y, padding)  # type: ignore[no-untyped-call]
        return convolved
    return F.conv2d(y, kernel, padding=padding, groups=kernel.shape[0])


class _Depthwise(torch.autograd.Function):
    """The same convolution, its kernel's gradient computed in strips of three columns."""

    @staticmethod
    def forward(ctx: Any, kernel: Tensor, y: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(kernel, y)
        ctx.padding = padding
        return F.conv2d(y, kernel, padding=padding, groups=kernel.shape[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        kernel, y = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        (rows, columns), width = ctx.padding, kernel.shape[3]
        kernel_gradient = torch.empty_like(kernel)
        padded = F.pad(y, (columns, columns, rows, rows)).contiguous(memory_format=torch.channels_last)
        starts = [min(start, width - STRIP) for start in range(0, width, STRIP)]
        for start in starts:
            seen = padded[..., start : start + gradient.shape[3] + STRIP - 1]
            strip = kernel[..., start : start + STRIP]
            kernel_gradient[..., start : start + STRIP] = _kernel_gradient(gradient, seen, strip)
        y_gradient = None
        if ctx.needs_input_grad[1]:  # a correlation turned around; oneDNN's own backward is slow for few channels
            y_gradient = F.conv2d(gradient, kernel.flip(2, 3), padding=ctx.padding, groups=kernel.shape[0])
        return kernel_gradient, y_gradient, None


def _kernel_gradient(gradient: Tensor, y: Tensor, kernel: Tensor) -> Tensor:
    """Gradient of a depth-wise convolution without padding in its kernel."""
    result: Tensor = torch.ops.aten.convolution_backward(
        gradient,
        y.contiguous(memory_format=torch.channels_last),
        kernel.contiguous(),
        None,
        (1, 1),
        (0, 0),
        (1, 1),
        False,
        (0, 0),
        kernel.shape[0],
        [False, True, False],
    )[1]
    return result
