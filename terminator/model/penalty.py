"""The penalty: a sum of norms, not squared (spec §8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from terminator.model.block import SFNEBlock
from terminator.model.mixer import Mixer

SLOW_FACTOR = 1e-6  # of the mixers inside slow networks and gates


class Penalty:
    """Σ ‖p‖₂ over block parameters outside slow networks and gates (RGUs, and what takes their place) + 1e-6 · Σ ‖w‖₂
    over the mixer weights inside them that have the pixels' axes. The head has none."""

    def __init__(self, blocks: Sequence[SFNEBlock], axes: int) -> None:
        self.parameters: list[Tensor] = []
        factors: list[float] = []
        for block in blocks:
            units = block.slow_networks_and_gates()
            inside = {id(parameter) for unit in units for parameter in unit.parameters()}
            outside = [parameter for parameter in block.parameters() if id(parameter) not in inside]
            weights = [
                mixer.weight
                for unit in units
                for mixer in unit.modules()
                if isinstance(mixer, Mixer) and mixer.weight.dim() == axes + 2 and mixer.weight.requires_grad
            ]
            self.parameters += outside + weights
            factors += [1.0] * len(outside) + [SLOW_FACTOR] * len(weights)
        self.factors = torch.tensor(factors)

    def __call__(self) -> Tensor:
        total: Tensor = _WeightedNorms.apply(self.factors, *self.parameters)  # type: ignore[no-untyped-call]
        return total


class _WeightedNorms(torch.autograd.Function):
    """Σ factor · ‖p‖₂, in one node of the graph instead of several for each parameter."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor, *parameters: Tensor) -> Tensor:
        norms = torch.stack(torch._foreach_norm(parameters))
        factors = factors.to(norms)
        ctx.save_for_backward(factors / norms.clamp(min=torch.finfo(norms.dtype).tiny), *parameters)
        return factors @ norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scales, *parameters = ctx.saved_tensors
        return (None, *torch._foreach_mul(parameters, list((scales * gradients[0]).unbind())))
