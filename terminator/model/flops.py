"""What one image costs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

BATCH = 16  # with it the release comes to the 2.22 GFLOP of spec §7


@torch.enable_grad()
def forward_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """FLOP (2·MAC) per image (C, *pixels) of a batch of sixteen, by PyTorch's counter of products and convolutions.

    Per image of a batch, because the slow networks run once a batch, whatever its size. As in training: evaluation
    merges mixers.
    """
    parameter = next(network.parameters())
    was_training = network.training
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(BATCH, *image_shape, dtype=parameter.dtype, device=parameter.device))
    network.train(was_training)
    total: int = counter.get_total_flops()
    return total // BATCH
