"""Every switch changes exactly the parameters that it should, and trains, alone and in every pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch

from terminator.model.build import build
from terminator.model.config import (
    Branches,
    Gate,
    Product,
    SelfGate,
    SlowNetworkKind,
    Standardisation,
    TerminatorConfig,
    Wiring,
)
from terminator.model.networks.terminator import Terminator
from terminator.training.step import channel_sum_loss
from tests.model.sizes import parameter_count

SMALL = TerminatorConfig(
    depth=2,
    channels=[12],
    local_kernels=[3, 5],
    previous_blocks=[[], [0]],
    global_layers=[1],
    global_hidden=4,
    local_hidden=4,
    channel_hidden=4,
    interaction_channel_hidden=4,
    interaction_spatial_hidden=4,
    dropout=[0.0],
)
PAIRED = replace(SMALL, local_kernels=[3])
BRANCHES = [replace(SMALL.branches, **{name: False}) for name in vars(SMALL.branches)]
SWITCHES: dict[str, list[Any]] = {
    "depth": [1, 3],
    "channels": [[12, 24]],
    "width": [2.0],
    "branches": [*BRANCHES, Branches(*[False] * 8)],
    "local_kernels": [[3], [7, 3, 5], []],
    "local_wiring": [[Wiring.m_to_z, Wiring.z_to_m]],
    "previous_blocks": [[]],
    "gate": [Gate.glu, Gate.mixer],
    "self_gate": [SelfGate.glu, SelfGate.none],
    "standardisation": [kind for kind in Standardisation if kind is not Standardisation.g_ibs],
    "product": [Product.hadamard, Product.fft],
    "global_context": [False],
    "local_context": [False],
    "slow_network": [kind for kind in SlowNetworkKind if kind is not SlowNetworkKind.sine_mfn],
    "omega_0": [30.0],
    "learn_renormalisation": [True],
    "learn_scalars": [False],
    "residual": [True],
    "global_layers": [[2, 1]],
    "local_layers": [1],
    "dropout": [[0.1]],
}
VALUES = [{name: value} for name, values in SWITCHES.items() for value in values]
IMAGE, SEQUENCE = (1, 4, 4), (1, 16)


def trained_one_step(config: TerminatorConfig, image_shape: tuple[int, ...]) -> Terminator:
    """A network after one step of gradient descent. Fails where a loss is not finite or a parameter is not reached."""
    generator = torch.Generator().manual_seed(0)
    network = build(config, image_shape=image_shape, classes=3, generator=generator)
    assert isinstance(network, Terminator)
    logits, kernels = network(torch.randn(4, *image_shape, generator=generator))
    loss = logits.square().mean() + network.penalty() + (channel_sum_loss(kernels) if kernels else 0)
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=1e-3).step()
    assert loss.isfinite()
    assert [name for name, p in network.named_parameters() if p.requires_grad and p.grad is None] == []
    return network


@pytest.mark.parametrize("image_shape", [IMAGE, SEQUENCE], ids=["image", "sequence"])
@pytest.mark.parametrize("change", [{}, *VALUES], ids=str)
def test_each_value_trains_with_the_parameters_that_the_formula_gives(
    change: dict[str, Any], image_shape: tuple[int, ...]
) -> None:
    config = replace(SMALL, **change)
    network = trained_one_step(config, image_shape)
    assert sum(p.numel() for p in network.parameters()) == parameter_count(config, image_shape, classes=3)


def hides(name: str, value: Any) -> bool:
    """Whether a network with this value lacks parts that other values are about."""
    return name in ("branches", "slow_network") or (name, value) in (("depth", 1), ("local_kernels", []))


def beside(name: str, value: Any, others: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """This value with all values of the others, several at a time, so that few networks hold every pair of it."""
    for turn in range(max(map(len, others.values()), default=0)):
        yield {other: values[turn % len(values)] for other, values in others.items() if other != name} | {name: value}


def rows_with_every_pair() -> Iterator[dict[str, Any]]:
    hiding = [(name, value) for name, values in SWITCHES.items() for value in values if hides(name, value)]
    plain = {name: [value for value in values if not hides(name, value)] for name, values in SWITCHES.items()}
    plain = {name: values for name, values in sorted(plain.items(), key=lambda each: -len(each[1])) if values}
    for name, value in hiding:
        yield from beside(name, value, plain)
    yield from ({first: one, second: other} for (first, one), (second, other) in combinations(hiding, 2))
    for name in list(plain):
        for value in plain.pop(name):
            yield from beside(name, value, plain)


def test_each_pair_of_values_trains() -> None:
    pairs = {frozenset(map(str, pair)) for pair in combinations(VALUES, 2) if pair[0].keys() != pair[1].keys()}
    for row in rows_with_every_pair():
        pairs -= {frozenset(map(str, pair)) for pair in combinations([{name: row[name]} for name in row], 2)}
        config = replace(PAIRED, **row)
        network = trained_one_step(config, IMAGE)
        assert sum(p.numel() for p in network.parameters()) == parameter_count(config, IMAGE, classes=3)
    assert not pairs
