"""Joining features by their channels, which lie innermost in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


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
