"""What a model costs before anything is trained, and the size-matched controls that cost as much as the baseline."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from terminator.config import RunConfig, to_plain
from terminator.errors import UserError
from terminator.model.build import build, forward_flops
from terminator.model.config import GROUPS, TerminatorConfig
from terminator.model.networks.custom import CustomNetwork, in_a_line
from terminator.planning.ablation import Match

NARROWEST, WIDEST, STEPS = 1 / 16, 16.0, 12


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and forward FLOPs of one image (2 per multiply-accumulate)."""

    parameters: int
    flops: int

    def of(self, match: Match) -> int:
        """The part of the cost that is to match."""
        return int(getattr(self, match.value))


def check(config: RunConfig) -> None:
    """Build the network, and try one that is not of the suite on an image, for the errors that this raises: UserError
    where model and data do not fit."""
    _check(_keyed(config))


def cost(config: RunConfig) -> Cost:
    """Build the network on its data set's images and count. Raises UserError where they do not fit."""
    keyed = _keyed(config)
    return Cost(_parameters(keyed), _flops(keyed))


def size_matched(config: RunConfig, budget: Cost, match: Match) -> tuple[float, RunConfig]:
    """The `model.width` whose network comes closest to the budget, and its configuration.

    Channels are whole, a Terminator's in whole groups, so the budget is met only as nearly as they allow: see `miss`.
    """
    wanted = budget.of(match)
    low, high = math.log(NARROWEST), math.log(WIDEST)
    counts = {config.model.width: _count(config, match)}
    for _ in range(STEPS):  # cost grows with width: halve the interval towards the budget
        middle = (low + high) / 2
        width = round(math.exp(middle), 3)
        counts[width] = _count(_widened(config, width), match)
        low, high = (middle, high) if counts[width] < wanted else (low, middle)
    best = min(sorted(counts), key=lambda width: abs(math.log(counts[width] / wanted)))
    return best, _widened(config, best)


def miss(config: RunConfig, budget: Cost, match: Match) -> float:
    """By what share of the budget a control lies above it, or below (negative)."""
    return _count(config, match) / budget.of(match) - 1


def obstacle(config: RunConfig, budget: Cost, match: Match) -> str:
    """What keeps a control from its budget."""
    if config.model.width * 2 > WIDEST and _count(_widened(config, WIDEST), match) < budget.of(match):
        return f"the search ends at {WIDEST:g} times the width"
    if isinstance(config.model, TerminatorConfig):
        return f"channels come in steps of {GROUPS}, at least {GROUPS}"
    return "channels are whole, at least one"


def _count(config: RunConfig, match: Match) -> int:
    """The matched part alone: parameters are sooner counted than FLOPs."""
    return (_parameters if match is Match.parameters else _flops)(_keyed(config))


def _widened(config: RunConfig, width: float) -> RunConfig:
    return replace(config, model=replace(config.model, width=width))


@dataclass(frozen=True)
class _Keyed:
    """A configuration that equals every other with the same network and data: see the caches below."""

    key: str
    config: RunConfig = field(compare=False)


def _keyed(config: RunConfig) -> _Keyed:
    plain = to_plain(config)
    return _Keyed(json.dumps([plain["model"], plain["data"]], sort_keys=True), config)


@functools.lru_cache(maxsize=4096)
def _check(keyed: _Keyed) -> None:
    """Each distinct network once."""
    _parameters(keyed)
    if isinstance(_network(keyed), CustomNetwork):
        _flops(keyed)


@functools.lru_cache(maxsize=4096)
def _flops(keyed: _Keyed) -> int:
    network, shape = _network(keyed), tuple(keyed.config.data.input_shape)
    try:
        return forward_flops(network, shape)
    except Exception as error:
        if isinstance(error, UserError) or not isinstance(network, CustomNetwork):
            raise
        data = f"images of {keyed.config.data.name}, {shape}"
        raise UserError(f"{network.where}: cannot take {data}: {in_a_line(error)}") from error


@functools.lru_cache(maxsize=4096)
def _parameters(keyed: _Keyed) -> int:
    return sum(each.numel() for each in _network(keyed).parameters() if each.requires_grad)


@functools.lru_cache(maxsize=1)
def _network(keyed: _Keyed) -> nn.Module:
    data = keyed.config.data
    generator = torch.Generator().manual_seed(0)
    return build(keyed.config.model, image_shape=data.input_shape, classes=data.classes, generator=generator)
