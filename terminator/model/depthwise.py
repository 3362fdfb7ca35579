"""Depth-wise convolution whose backward is quick for large kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

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
