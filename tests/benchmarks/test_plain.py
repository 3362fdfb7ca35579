"""The fast form of the network against its direct transcription."""

from __future__ import annotations

import torch

from benchmarks.plain import plain_forward
from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.model.network import Terminator
from terminator.model.slow_loss import channel_sum_loss


def test_values_and_gradients_agree() -> None:
    config = TerminatorConfig(
        channels=[12, 24], global_hidden=8, local_hidden=6, interaction_spatial_hidden=8, dropout=[0]
    )
    network = build(config, image_shape=(3, 10, 10), classes=5, generator=torch.Generator().manual_seed(0)).double()
    assert isinstance(network, Terminator)
    images = torch.randn(3, 3, 10, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain, fast = plain_forward(network, images), network(images)
    torch.testing.assert_close(fast.logits, plain.logits, rtol=1e-10, atol=1e-10)
    losses = [output.logits.square().sum() + channel_sum_loss(output.kernels) for output in (plain, fast)]
    expected, actual = (torch.autograd.grad(loss, list(network.parameters())) for loss in losses)
    largest = max(gradient.abs().max() for gradient in expected)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10 * float(largest))
