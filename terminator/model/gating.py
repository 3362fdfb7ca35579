"""Gating units (spec §4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import Gate, SelfGate
from terminator.model.mixer import Init, Mixer, mix
from terminator.model.standardisation import instance_standardise


class RecursiveGatedUnit(nn.Module):
    """RGU: q = GELU(IS(W_k x ⊙ W_q W_v x)) + p, y = W_y q (spec §4). (B, C, *pixels) → same."""

    def __init__(self, channels: int, pixels: Sequence[int], *, generator: torch.Generator) -> None:
        super().__init__()
        self.k, self.v, self.q, self.y = (
            Mixer(channels, channels, len(pixels), init=Init.kaiming_uniform_linear, generator=generator)
            for _ in range(4)
        )
        self.position_bias = nn.Parameter(torch.zeros(1, 1, *pixels))

    def forward(self, x: Tensor) -> Tensor:
        q = F.gelu(instance_standardise(self.k(x) * self._q(x)))
        y: Tensor = self.y(q + self.position_bias.to(q.dtype))
        return y

    def _q(self, x: Tensor) -> Tensor:
        """W_q W_v x: two mixers where they learn, their product where nothing does."""
        if torch.is_grad_enabled():
            q: Tensor = self.q(self.v(x))
            return q
        weight = (self.q.matrix @ self.v.matrix).view_as(self.q.weight)
        return mix(x, weight, self.q.matrix @ self.v.bias + self.q.bias)


class GatedLinearUnit(nn.Module):
    """GLU: σ(W_k x) ⊙ W_v x (Dauphin et al. 2017, 1612.08083). (B, C, *pixels) → same."""

    def __init__(self, channels: int, axes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.k, self.v = (
            Mixer(channels, channels, axes, init=Init.kaiming_uniform_linear, generator=generator) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.sigmoid(self.k(x)) * self.v(x)
        return y


def build_gate(kind: Gate, channels: int, pixels: Sequence[int], *, generator: torch.Generator) -> nn.Module:
    """One of the two units behind F."""
    if kind is Gate.rgu:
        return RecursiveGatedUnit(channels, pixels, generator=generator)
    if kind is Gate.glu:
        return GatedLinearUnit(channels, len(pixels), generator=generator)
    return Mixer(channels, channels, len(pixels), init=Init.kaiming_uniform_linear, generator=generator)


def build_self_gate(kind: SelfGate, channels: int, axes: int, *, generator: torch.Generator) -> nn.Module:
    """What the branch `si_glu` does to O. Si-GLU, σ(x) ⊙ x, is PyTorch's SiLU."""
    if kind is SelfGate.si_glu:
        return nn.SiLU()
    if kind is SelfGate.glu:
        return GatedLinearUnit(channels, axes, generator=generator)
    return nn.Identity()
