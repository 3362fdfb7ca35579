"""Standardisation, not normalisation: no affine parameters, no running statistics (spec §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from terminator.model.config import GROUPS, Standardisation

EPSILON = 1e-5


def standardise(x: Tensor, dims: list[int]) -> Tensor:
    """(x − mean) / sqrt(variance + ε), statistics over `dims`, biased variance."""
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPSILON)


def instance_standardise(x: Tensor) -> Tensor:
    """IS: per sample and channel, over the pixels. (B, C, *pixels) → same."""
    return standardise(x, list(range(2, x.dim())))


class BatchStandardise(nn.Module):
    """BS: per channel, over batch and pixels. (B, C, *pixels) → same."""

    def forward(self, x: Tensor) -> Tensor:
        return standardise(x, [0, *range(2, x.dim())])


class GroupedStandardise(nn.Module):
    """G-IBS: of 12 equal groups of channels, even ones get BS, odd ones IS. (B, C, *pixels) → same."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = BatchStandardise()

    def forward(self, x: Tensor) -> Tensor:
        groups = list(x.chunk(GROUPS, dim=1))
        groups[0::2] = self.batch(torch.cat(groups[0::2], dim=1)).chunk(GROUPS // 2, dim=1)
        groups[1::2] = instance_standardise(torch.cat(groups[1::2], dim=1)).chunk(GROUPS // 2, dim=1)
        return torch.cat(groups, dim=1)


class InstanceStandardise(nn.Module):
    """IS as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return instance_standardise(x)


def build_standardisation(kind: Standardisation, channels: int, axes: int) -> nn.Module:
    """What follows the bottleneck. The two norms of the axis have PyTorch's affine parameters."""
    if kind is Standardisation.g_ibs:
        return GroupedStandardise()
    if kind is Standardisation.bs:
        return BatchStandardise()
    if kind is Standardisation["is"]:
        return InstanceStandardise()
    if kind is Standardisation.batch_norm:
        return nn.BatchNorm1d(channels) if axes == 1 else nn.BatchNorm2d(channels)
    if kind is Standardisation.group_norm:
        return nn.GroupNorm(GROUPS, channels)
    return nn.Identity()
