"""A small Terminator, and how tests build networks and draw images."""

from __future__ import annotations

import torch
from torch import Tensor

from terminator.model.build import build
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.model.networks.terminator import Terminator

SMALL = TerminatorConfig(
    depth=3,
    channels=[12],
    global_hidden=4,
    local_hidden=4,
    channel_hidden=4,
    interaction_spatial_hidden=4,
    dropout=[0.0],
)


def network(config: ModelConfig, image_shape: tuple[int, ...], classes: int = 10, seed: int = 0) -> Terminator:
    """The network of `config`; a comparison network has what the tests use of it too."""
    return build(config, image_shape=image_shape, classes=classes, generator=torch.Generator().manual_seed(seed))


def images(count: int, image_shape: tuple[int, ...]) -> Tensor:
    """Always the same."""
    return torch.randn(count, *image_shape, generator=torch.Generator().manual_seed(1))
