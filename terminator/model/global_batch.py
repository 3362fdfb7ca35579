"""Means over the whole batch, also where data parallelism spreads it over processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def is_spread() -> bool:
    """Whether the batch lies in several processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def global_mean(x: Tensor) -> Tensor:
    """Mean over the first dimension in all processes, each with as many rows as it has: (B, …) → (1, …).

    Not differentiable: for use inside backward formulas.
    """
    if not is_spread():
        return x.mean(0, keepdim=True)
    total = torch.cat([x.sum(0).flatten(), x.new_tensor([len(x)])])
    dist.all_reduce(total)
    return (total[:-1] / total[-1]).view(1, *x.shape[1:])


def batch_mean(x: Tensor) -> Tensor:
    """`global_mean`, differentiable: gradients flow to every process's rows."""
    if not is_spread():
        return x.mean(0, keepdim=True)
    mean: Tensor = _BatchMean.apply(x)  # type: ignore[no-untyped-call]
    return mean


class _BatchMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = torch.tensor([len(x)], device=x.device)
        dist.all_reduce(rows)
        ctx.shape, ctx.rows = x.shape, int(rows)
        return global_mean(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        share: Tensor = gradient / ctx.rows
        return share.expand(ctx.shape)
