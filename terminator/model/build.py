"""From a configuration to its network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from terminator.model.ckcnn import build_continuous_kernel_cnn
from terminator.model.config import (
    ContinuousKernelConfig,
    LargeKernelConfig,
    ModelConfig,
    ResNetConfig,
    TerminatorConfig,
)
from terminator.model.large_kernel_cnn import build_large_kernel_cnn
from terminator.model.resnet import build_resnet
from terminator.model.terminator import Terminator


def build(
    config: ModelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """The network of `config` for images of (C, H, W), or sequences of (C, L). Its weights are drawn from `generator`
    (None: PyTorch's own). Raises UserError where the configuration does not fit the images."""
    generator = generator or torch.default_generator
    if isinstance(config, ResNetConfig):
        return build_resnet(config, image_shape=image_shape, classes=classes, generator=generator)
    if isinstance(config, LargeKernelConfig):
        return build_large_kernel_cnn(config, image_shape=image_shape, classes=classes, generator=generator)
    if isinstance(config, ContinuousKernelConfig):
        return build_continuous_kernel_cnn(config, image_shape=image_shape, classes=classes, generator=generator)
    assert isinstance(config, TerminatorConfig)
    return Terminator(config, image_shape=image_shape, classes=classes, generator=generator)


BATCH = 16  # with it the release comes to the 2.22 GFLOP of spec §7


@torch.enable_grad()
def forward_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """FLOP (2·MAC) per image (C, *pixels) of a batch of sixteen, by PyTorch's counter of products and convolutions.

    Per image of a batch, because the slow networks run once a batch, whatever its size. As in training: evaluation
    merges mixers.
    """
    parameter = next(network.parameters())
    was_training = network.training
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(BATCH, *image_shape, dtype=parameter.dtype, device=parameter.device))
    network.train(was_training)
    total: int = counter.get_total_flops()
    return total // BATCH
