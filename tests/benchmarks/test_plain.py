"""Each fast form of the network against its direct transcription, in values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from benchmarks.plain import plain_forward
from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.model.networks.terminator import Output, Terminator
from terminator.training.slow_loss import channel_sum_loss

SMALL = TerminatorConfig(
    depth=3, channels=[12, 24], global_hidden=8, local_hidden=6, interaction_spatial_hidden=8, dropout=[0.0]
)


def compiled(network: Terminator) -> Callable[[Tensor], Output]:
    """As the compiler traces it; what it then makes of the trace is PyTorch's affair."""
    forward: Callable[[Tensor], Output] = torch.compile(network, backend="aot_eager")
    return forward


@pytest.mark.parametrize("image_shape", [(3, 10, 10), (2, 25)], ids=["image", "sequence"])
@pytest.mark.parametrize("form", ["eager", "compiled"])
def test_values_and_gradients_agree(form: str, image_shape: tuple[int, ...]) -> None:
    network = build(SMALL, image_shape=image_shape, classes=5, generator=torch.Generator().manual_seed(0)).double()
    assert isinstance(network, Terminator)
    images = torch.randn(3, *image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    plain, fast = plain_forward(network, images), (compiled(network) if form == "compiled" else network)(images)
    torch.testing.assert_close(fast.logits, plain.logits, rtol=1e-10, atol=1e-10)
    losses = [output.logits.square().sum() + channel_sum_loss(output.kernels) for output in (plain, fast)]
    expected, actual = (torch.autograd.grad(loss, list(network.parameters())) for loss in losses)
    largest = max(gradient.abs().max() for gradient in expected)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10 * float(largest))
