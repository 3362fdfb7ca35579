"""What a model costs, before anything is trained."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import torch
from torch import nn

from terminator.config import RunConfig, from_plain, to_plain
from terminator.model.build import build
from terminator.model.flops import forward_flops


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and forward FLOPs of one image (2 per multiply-accumulate)."""

    parameters: int
    flops: int


def check(config: RunConfig) -> None:
    """Build the network, for the errors that this raises: UserError where model and data do not fit."""
    _network(*_model_and_data(config))


def cost(config: RunConfig) -> Cost:
    """Build the network on its data set's images and count. Raises UserError where they do not fit."""
    return _cost(*_model_and_data(config))


def parameters(config: RunConfig) -> int:
    """The network's trainable parameters alone: sooner counted than FLOPs."""
    return _parameters(*_model_and_data(config))


def _model_and_data(config: RunConfig) -> tuple[str, str]:
    plain = to_plain(config)
    return json.dumps(plain["model"], sort_keys=True), json.dumps(plain["data"], sort_keys=True)


@functools.lru_cache(maxsize=4096)
def _cost(model: str, data: str) -> Cost:
    network = _network(model, data)
    return Cost(_parameters(model, data), forward_flops(network, _config(model, data).data.facts.image_shape))


@functools.lru_cache(maxsize=4096)
def _parameters(model: str, data: str) -> int:
    return sum(each.numel() for each in _network(model, data).parameters() if each.requires_grad)


@functools.lru_cache(maxsize=1)
def _network(model: str, data: str) -> nn.Module:
    config = _config(model, data)
    facts = config.data.facts
    generator = torch.Generator().manual_seed(0)
    return build(config.model, image_shape=facts.image_shape, classes=facts.classes, generator=generator)


def _config(model: str, data: str) -> RunConfig:
    return from_plain({"model": json.loads(model), "data": json.loads(data)})
