"""From a configuration to its network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from terminator.model.comparison_config import ContinuousKernelConfig, LargeKernelConfig, ResNetConfig
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.model.continuous_kernel_cnn import build_continuous_kernel_cnn
from terminator.model.large_kernel_cnn import build_large_kernel_cnn
from terminator.model.network import Terminator
from terminator.model.resnet import build_resnet


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
