"""The slow neural loss by hand."""

from __future__ import annotations

import torch

from terminator.config import SlowLoss
from terminator.training.slow_loss import slow_loss

# two points each; channel sums (1, 2), (3, 3) and (0, 1)
KERNELS = [
    torch.tensor([[[1.0, 2.0]]]),
    torch.tensor([[[1.0, 1.0], [2.0, 2.0]]]),
    torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]),
]


def test_channel_sum() -> None:
    # pairs: (4 + 1)/2, (1 + 1)/2, (9 + 4)/2
    assert slow_loss(KERNELS, SlowLoss.channel_sum).item() == 10.0


def test_tile_repeats_channels_and_cuts() -> None:
    first = ((1 - 1) ** 2 + (2 - 1) ** 2 + (1 - 2) ** 2 + (2 - 2) ** 2) / 4
    second = (1 + 4 + 1 + 4 + 1 + 1) / 6
    third = (1 + 1 + 4 + 4 + 1 + 0) / 6  # tiled to the channels 1, 2, 1
    torch.testing.assert_close(slow_loss(KERNELS, SlowLoss.tile), torch.tensor(first + second + third))


def test_nothing_to_compare_is_no_loss() -> None:
    assert slow_loss(KERNELS, SlowLoss.off).item() == 0
    for form in SlowLoss:
        assert slow_loss([], form).item() == 0
        assert slow_loss(KERNELS[:1], form).item() == 0
