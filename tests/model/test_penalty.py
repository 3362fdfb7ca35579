"""The penalty against norms taken one by one."""

from __future__ import annotations

import torch

from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.model.networks.terminator import SLOW_FACTOR, Terminator

INSIDE = ("slow.", "slow_", "global_slow", "channel_slow", "spatial_slow", "rgu_slow", "rgu_fast")


def test_it_is_the_sum_of_the_norms() -> None:
    config = TerminatorConfig(depth=2, channels=[12], local_kernels=[3], global_hidden=4, interaction_spatial_hidden=4)
    network = build(config, image_shape=(3, 6, 6), classes=2, generator=torch.Generator().manual_seed(0))
    assert isinstance(network, Terminator)
    expected = torch.zeros(())
    for name, parameter in network.blocks.named_parameters():
        if not any(part in name for part in INSIDE):
            expected = expected + parameter.norm()
        elif name.endswith("weight") and parameter.dim() == 4:
            expected = expected + SLOW_FACTOR * parameter.norm()
    expected.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in network.parameters()]
    network.zero_grad()

    penalty = network.penalty()
    penalty.backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(penalty, expected)
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        if gradient is None:
            assert parameter.grad is None
        else:  # a norm has no gradient at 0, where biases start; ours is 0
            torch.testing.assert_close(parameter.grad, gradient.nan_to_num())
