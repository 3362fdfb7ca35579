"""Update rules: Kar3 and Kar2 (spec §8), and PyTorch's AdamW and SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from terminator.config import OptimizerConfig, OptimizerName


def kar_step(parameter: Tensor, gradient: Tensor, averages: list[Tensor], lr: float, betas: tuple[float, ...]) -> None:
    """One Kar update of one tensor, in place: p ← p − lr·(sign g + Σ sign m_j); m_j ← β_j m_j + (1−β_j) g (spec §8)."""
    direction = gradient.sign()
    for average in averages:
        direction = direction + average.sign()
    parameter.sub_(direction, alpha=lr)
    for average, beta in zip(averages, betas, strict=True):
        average.lerp_(gradient, 1 - beta)


def kar_step_foreach(
    parameters: list[Tensor], gradients: list[Tensor], averages: list[list[Tensor]], lr: float, betas: tuple[float, ...]
) -> None:
    """`kar_step` of many tensors at once, to the same bits, in a few kernels. averages[j][i] is m_j of parameter i."""
    directions = torch._foreach_sign(gradients)
    for average in averages:
        torch._foreach_add_(directions, torch._foreach_sign(average))
    torch._foreach_sub_(parameters, directions, alpha=lr)
    for average, beta in zip(averages, betas, strict=True):
        torch._foreach_lerp_(average, gradients, 1 - beta)


class Kar(torch.optim.Optimizer):
    """The Kar rule with one moving average for each of `betas`; they start at 0 and are not corrected for it (spec §8).

    `foreach=False` takes the plain form, tensor by tensor.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, betas: tuple[float, ...], foreach: bool = True
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": tuple(betas), "foreach": foreach})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient. Returns what `closure`, which computes them, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        lr, betas = group["lr"], group["betas"]
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            return
        gradients = [parameter.grad for parameter in parameters]
        averages = [self._averages(parameter, len(betas)) for parameter in parameters]
        if group["foreach"]:
            kar_step_foreach(
                parameters, gradients, [list(moments) for moments in zip(*averages, strict=True)], lr, betas
            )
        else:
            for parameter, gradient, own in zip(parameters, gradients, averages, strict=True):
                kar_step(parameter, gradient, own, lr, betas)

    def _averages(self, parameter: Tensor, count: int) -> list[Tensor]:
        state = self.state[parameter]
        if not state:
            state["averages"] = [torch.zeros_like(parameter) for _ in range(count)]
        averages: list[Tensor] = state["averages"]
        return averages


class Kar3(Kar):
    """Kar with three signs: the gradient's and those of two moving averages (spec §8)."""

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, betas: tuple[float, float] = (0.5, 0.95), foreach: bool = True
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, foreach=foreach)


class Kar2(Kar):
    """Kar with two signs: the gradient's and that of one moving average (spec §8)."""

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, betas: tuple[float] = (0.95,), foreach: bool = True
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, foreach=foreach)


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The update rule of `config` for all parameters of `network`."""
    parameters = list(network.parameters())
    if config.name is OptimizerName.kar3:
        return Kar3(parameters, lr=config.lr, betas=(config.betas[0], config.betas[1]))
    if config.name is OptimizerName.kar2:
        return Kar2(parameters, lr=config.lr, betas=(config.betas[0],))
    if config.name is OptimizerName.adamw:
        betas = (config.betas[0], config.betas[1])
        return torch.optim.AdamW(parameters, lr=config.lr, betas=betas, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.SGD(
        parameters, lr=config.lr, momentum=config.betas[0], weight_decay=config.weight_decay, foreach=True
    )
