"""What a model costs, before anything is trained."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import torch

from terminator.config import RunConfig, from_plain, to_plain
from terminator.model import build
from terminator.model.flops import forward_flops


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and forward FLOPs of one image (2 per multiply-accumulate)."""

    parameters: int
    flops: int


def cost(config: RunConfig) -> Cost:
    """Builds the network on one image of its data set and counts. Raises UserError where model and data do not fit."""
    plain = to_plain(config)
    return _cost(json.dumps({"model": plain["model"], "data": plain["data"]}, sort_keys=True))


@functools.lru_cache(maxsize=4096)
def _cost(model_and_data: str) -> Cost:
    config = from_plain(json.loads(model_and_data))
    facts = config.data.facts
    network = build(
        config.model, image_shape=facts.image_shape, classes=facts.classes, generator=torch.Generator().manual_seed(0)
    )
    parameters = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return Cost(parameters, forward_flops(network, facts.image_shape))
