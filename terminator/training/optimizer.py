"""Update rules: Kar3 and Kar2 (§8), and PyTorch's AdamW and SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import unwrap

import torch
from torch import Tensor, nn

from terminator.config import OptimizerConfig, OptimizerName


def kar_step(parameter: Tensor, gradient: Tensor, averages: list[Tensor], lr: float, betas: tuple[float, ...]) -> None:
    """One Kar update of one tensor, in place: p ← p − lr·(sign g + Σ sign m_j); m_j ← β_j m_j + (1−β_j) g (§8)."""
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
    """Kar2 and Kar3 (§8): one moving average for each of `betas`; they start at 0, without bias correction."""

    # As PyTorch wraps them, the first call imports its compiler, for seconds: a job's whole start over again.
    add_param_group = unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = unwrap(torch.optim.Optimizer.load_state_dict)

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, betas: Sequence[float]) -> None:
        super().__init__(parameters, {"lr": lr, "betas": tuple(betas)})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient. Returns what `closure`, which computes them, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group["params"], group["lr"], group["betas"])
        return loss

    def _step_group(self, parameters: list[Tensor], lr: float, betas: tuple[float, ...]) -> None:
        parameters = [parameter for parameter in parameters if parameter.grad is not None]
        if not parameters:
            return
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["averages"] = [torch.zeros_like(parameter) for _ in betas]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        averages = zip(*(self.state[parameter]["averages"] for parameter in parameters), strict=True)
        kar_step_foreach(parameters, gradients, list(map(list, averages)), lr, betas)


def build_optimizer(config: OptimizerConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The update rule of `config` for all parameters of `network`."""
    parameters = list(network.parameters())
    if config.name in (OptimizerName.kar3, OptimizerName.kar2):
        return Kar(parameters, lr=config.lr, betas=config.betas)
    if config.name is OptimizerName.adamw:
        betas = (config.betas[0], config.betas[1])
        return torch.optim.AdamW(parameters, lr=config.lr, betas=betas, weight_decay=config.weight_decay, foreach=True)
    return torch.optim.SGD(
        parameters, lr=config.lr, momentum=config.betas[0], weight_decay=config.weight_decay, foreach=True
    )
