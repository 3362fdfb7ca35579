"""Checking one golden file: what it holds, against what our model computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from terminator.training.optimizer import Kar
from terminator.training.step import channel_sum_loss, label_smoothed_cross_entropy, tile_loss
from tests.golden.components import COMPONENTS, Component, GoldenFile, read_golden_file, release_network

OUTPUTS, GRADIENTS, TRAJECTORY = 1e-9, 1e-8, 1e-7  # largest relative deviations
OPTIMIZERS = ("kar2", "kar3")
SLOW_LOSSES = {"channel_sum": channel_sum_loss, "tile": tile_loss}


def check_file(path: Path, device: str = "cpu") -> list[Deviation]:
    """The deviations of one file, by what it is named after. Raises ValueError for a name that stands for nothing."""
    file = read_golden_file(path, device)
    if path.stem in COMPONENTS:
        return check_component(file, COMPONENTS[path.stem](file))
    if path.stem in OPTIMIZERS:
        return [check_updates(file)]
    if path.stem == "trajectory":
        return [check_trajectory(file)]
    names = ", ".join(sorted({*COMPONENTS, *OPTIMIZERS, "trajectory"}))
    raise ValueError(f"no check of this name (there are {names})")


def check_component(file: GoldenFile, component: Component) -> list[Deviation]:
    """Outputs, then the gradients of Σ (out ⊙ probe) in inputs and parameters."""
    module, run = component
    file.load_into(module)
    inputs = {name: x.requires_grad_(x.is_floating_point()) for name, x in file.inputs.items()}
    outputs = run(inputs)
    torch.stack([(outputs[name] * probe).sum() for name, probe in file.probes.items()]).sum().backward()
    gradients: dict[str, Tensor | None] = {f"in.{name}": x.grad for name, x in inputs.items()}
    gradients |= {f"param.{name}": parameter.grad for name, parameter in module.named_parameters()}
    return [
        largest_deviation(outputs, file.outputs, OUTPUTS),
        largest_deviation(gradients, file.gradients, GRADIENTS),
    ]


def check_updates(file: GoldenFile) -> Deviation:
    """The update rule from param.0 on, over all the file's gradients."""
    parameters, gradients = _in_order(file.parameters), _in_order(file.gradients)
    moving = torch.nn.Parameter(parameters[0].clone())
    rule = _optimizer(file, [moving])
    updated = {}
    for step, gradient in enumerate(gradients, start=1):
        moving.grad = gradient
        rule.step()
        updated[str(step)] = moving.detach().clone()
    golden = {str(step): parameter for step, parameter in enumerate(parameters) if step > 0}
    return largest_deviation(updated, golden, OUTPUTS)


def check_trajectory(file: GoldenFile) -> Deviation:
    """The losses before each training step of a network."""
    network = release_network(file, tuple(file.inputs["images"].shape[2:]))
    file.load_into(network)
    rule = _optimizer(file, list(network.parameters()))
    epsilon, weight = float(file.metadata["label_smoothing"]), float(file.metadata["slow_loss_weight"])
    losses, slow_losses = [], []
    for images, targets in zip(file.inputs["images"], file.inputs["targets"], strict=True):
        logits, kernels = network(images)
        slow = SLOW_LOSSES[file.metadata["slow_loss"]](kernels)
        loss = label_smoothed_cross_entropy(logits, targets, epsilon) + weight * slow
        losses.append(loss.detach())
        slow_losses.append(slow.detach())
        rule.zero_grad()
        loss.backward()
        rule.step()
    outputs = {"loss": torch.stack(losses), "slow_loss": torch.stack(slow_losses)}
    return largest_deviation(outputs, file.outputs, TRAJECTORY)


def _in_order(numbered: dict[str, Tensor]) -> list[Tensor]:
    return [numbered[str(step)] for step in range(len(numbered))]


def _optimizer(file: GoldenFile, parameters: list[torch.nn.Parameter]) -> Kar:
    betas = [float(beta) for beta in file.metadata["betas"].split(",")]
    return Kar(parameters, lr=float(file.metadata["lr"]), betas=betas)


@dataclass(frozen=True)
class Deviation:
    """The largest relative deviation of a kind of numbers, which tensor has it, and how large it may be."""

    name: str
    value: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        # written so that NaN is not within
        return self.value <= self.tolerance


def largest_deviation(actual: Mapping[str, Tensor | None], golden: Mapping[str, Tensor], tolerance: float) -> Deviation:
    """The worst tensor by max |actual − golden| / max |golden|. A tensor that one side lacks deviates infinitely.
    Raises ValueError where there is nothing to compare with.

    A tensor's scale is at least 1e-6 of the file's largest number of this kind: some gradients are zero but for
    rounding (§9.6), and noise has no relative accuracy.
    """
    if not golden:
        raise ValueError("the file holds nothing to compare with")
    floor = 1e-6 * max(float(tensor.abs().max()) for tensor in golden.values())
    worst = Deviation("nothing", 0.0, tolerance)
    for name in sorted({*actual, *golden}):
        value = _deviation(actual.get(name), golden.get(name), floor)
        if not value <= worst.value:
            worst = Deviation(name, value, tolerance)
    return worst


def _deviation(actual: Tensor | None, golden: Tensor | None, floor: float) -> float:
    if actual is None and golden is None:
        return 0.0
    if actual is None or golden is None or actual.shape != golden.shape:
        return float("inf")
    return float((actual.detach() - golden).abs().max() / max(float(golden.abs().max()), floor))
