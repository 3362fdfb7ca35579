"""From a configuration to its network.

A network is a file of terminator/model/networks: its configuration class, as `Config`, and `build(config, *,
image_shape, classes, generator)`, which returns a module from images to `Output` that has a `penalty()`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from terminator.errors import UserError
from terminator.model.config import ModelConfig, TerminatorConfig

if TYPE_CHECKING:  # not imported here: composing a Terminator's configuration needs no torch
    import torch
    from torch import nn

NETWORKS = Path(__file__).parent / "networks"


def architectures() -> list[str]:
    """The networks there are, by the names of their files."""
    return sorted(module.name for module in pkgutil.iter_modules([str(NETWORKS)]))


def network_config(architecture: str) -> type[ModelConfig]:
    """The configuration class of a network. Raises UserError where there is no such network."""
    if architecture == TerminatorConfig.architecture:
        return TerminatorConfig  # without its network, which would import torch
    config: type[ModelConfig] = import_module(_module(architecture)).Config
    return config


def network_modules(config: ModelConfig) -> list[str]:
    """The modules (dotted names) whose import closure decides what the network computes."""
    return [_module(config.architecture), *config.outside_modules()]


def _module(architecture: str) -> str:
    if architecture not in (choices := architectures()):
        raise UserError(f"model.architecture={architecture}: no such network; choose from {', '.join(choices)}")
    return f"terminator.model.networks.{architecture}"


def build(
    config: ModelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """The network of `config` for images of (C, H, W), or sequences of (C, L). Its weights are drawn from `generator`
    (None: PyTorch's own). Raises UserError where the configuration does not fit the images."""
    import torch

    generator = generator or torch.default_generator
    build_network = import_module(_module(config.architecture)).build
    network: nn.Module = build_network(config, image_shape=image_shape, classes=classes, generator=generator)
    return network


BATCH = 16  # with it the release comes to the 2.22 GFLOP of §7


def forward_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """FLOP (2·MAC) per image (C, *pixels) of a batch of sixteen, by PyTorch's counter of products and convolutions.

    Per image of a batch, because the slow networks run once a batch, whatever its size. As in training: evaluation
    merges mixers.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    parameter = next(network.parameters())
    was_training = network.training
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(BATCH, *image_shape, dtype=parameter.dtype, device=parameter.device))
    network.train(was_training)
    total: int = counter.get_total_flops()
    return total // BATCH
