"""Operations on features (B, C, *pixels), channels innermost in memory, each fast form beside its plain reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

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


def at_least_float32(x: Tensor) -> Tensor:
    """x in a format that means, losses and FFTs can be taken in."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def pixel_axes(x: Tensor) -> list[int]:
    """The axes of (B, C, *pixels) behind the channels."""
    return list(range(2, x.dim()))


def over_pixels(channels: Tensor, x: Tensor) -> Tensor:
    """One value a channel, shaped to broadcast over x (B, C, *pixels): (1, C, 1, …)."""
    return channels.view(1, -1, *[1] * (x.dim() - 2))


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


def tile_channels_ref(x: Tensor, channels: int) -> Tensor:
    """`tile_channels`, channels first."""
    return x.repeat(1, -(-channels // x.shape[1]), *[1] * (x.dim() - 2))[:, :channels]


def twice_elementwise(kernel: Tensor, z: Tensor) -> Tensor:
    """The 2E operator of the interactions, (k ⊙ z) ⊙ z."""
    return kernel * z * z


class HyperProduct(NamedTuple):
    """The ⊗ of K̂ ⊗ Y: `multiply(prepare(K̂), Y)`, so that what K̂ alone needs is done once for several Y.
    (B, C, *pixels), (B, C, *pixels) → same."""

    prepare: Callable[[Tensor], Tensor]
    multiply: Callable[[Tensor, Tensor], Tensor]


def hyper_product(kind: Product, pixels: Sequence[int]) -> HyperProduct:
    """The ⊗ of this kind, not `auto`. Raises UserError where a matrix product finds nothing square."""
    if kind is Product.hadamard:
        return HADAMARD
    if kind is Product.fft:
        return CIRCULAR
    is_square = pixels[0] == pixels[-1] if len(pixels) == 2 else math.isqrt(pixels[0]) ** 2 == pixels[0]
    if not is_square:
        size = "×".join(str(side) for side in pixels)
        raise UserError(f"model.product=matmul: needs square images or a square length, not {size} (or hadamard, fft)")
    return MATMUL


def _squares(x: Tensor) -> Tensor:
    """As the library wants matrices, themselves innermost; a sequence of L as √L × √L."""
    if x.dim() == 4:
        return channels_first(x)
    side = math.isqrt(x.shape[2])
    return x.contiguous().view(*x.shape[:2], side, side)


def _matrix_product(kernel: Tensor, y: Tensor) -> Tensor:
    product = kernel @ _squares(y)
    return product.flatten(2) if y.dim() == 3 else product


def _spectrum(kernel: Tensor) -> Tensor:
    spectrum: Tensor = torch.fft.rfftn(at_least_float32(kernel), dim=pixel_axes(kernel), norm="ortho")
    return spectrum


def _circular_convolution(spectrum: Tensor, y: Tensor) -> Tensor:
    dims = pixel_axes(y)
    convolved: Tensor = torch.fft.irfftn(
        spectrum * torch.fft.rfftn(at_least_float32(y), dim=dims), s=y.shape[2:], dim=dims
    )
    return convolved.to(y.dtype)


MATMUL = HyperProduct(_squares, _matrix_product)  # a matrix product per sample and channel
# The other two are our interpretation for sequences (§2 OPEN). The convolution is depth-wise and circular, scaled by
# 1/√points, so that white features keep their variance whatever the size.
HADAMARD = HyperProduct(lambda kernel: kernel, torch.mul)
CIRCULAR = HyperProduct(_spectrum, _circular_convolution)


def hyper_product_ref(kernel: Tensor, y: Tensor) -> Tensor:
    """⊗ of the release on images, elementwise on sequences."""
    return kernel @ y if y.dim() == 4 else kernel * y


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


def depthwise_convolution_ref(kernel: Tensor, y: Tensor) -> Tensor:
    """The same by PyTorch alone, channels first."""
    convolution = F.conv2d if y.dim() == 4 else F.conv1d
    return convolution(y, kernel, padding="same", groups=len(kernel))


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


def pooling_bins(pixels: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Which pixels PyTorch's adaptive_avg_pool averages for each point of `grid`: (grid points, pixels) of 0 and 1."""
    return reduce(torch.kron, [_axis(size, bins) for size, bins in zip(pixels, grid, strict=True)])


def _axis(size: int, bins: int) -> Tensor:
    matrix = torch.zeros(bins, size)
    for i in range(bins):
        matrix[i, i * size // bins : -(-(i + 1) * size // bins)] = 1
    return matrix
