"""From a configuration to its network, and what one image costs in it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from terminator.model.config import ModelConfig
from terminator.model.networks import module_of


def build(
    config: ModelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """The network of `config` for images of (C, H, W), or sequences of (C, L). Its weights are drawn from `generator`
    (None: PyTorch's own). Raises UserError where the configuration does not fit the images."""
    generator = generator or torch.default_generator
    build_network = import_module(module_of(config.architecture)).build
    network: nn.Module = build_network(config, image_shape=image_shape, classes=classes, generator=generator)
    return network


BATCH = 16  # with it the release comes to the 2.22 GFLOP of §7


def forward_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """FLOP (2·MAC) per image (C, *pixels) of a batch of sixteen, by PyTorch's counter of products and convolutions.

    Per image of a batch, because the slow networks run once a batch, whatever its size. As in training: evaluation
    merges mixers.
    """
    parameter = next(network.parameters())
    was_training = network.training
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(BATCH, *image_shape, dtype=parameter.dtype, device=parameter.device))
    network.train(was_training)
    total: int = counter.get_total_flops()
    return total // BATCH
