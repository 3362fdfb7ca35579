"""The hyper-kernels of all blocks of a network, generated together (spec §1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from terminator.model.kernel_generation import generate_kernels
from terminator.model.local_kernels import FirstLayer

if TYPE_CHECKING:
    from terminator.model.block import SFNEBlock

KERNELS = ("global_kernel", "channel", "interaction_channel", "interaction_spatial")


class HyperKernels(NamedTuple):
    """What a block's slow networks make of coordinates alone; None where the block has no such network.

    global_kernel: K_g, (1, C, *pixels). channel, interaction_channel: (1, 1, C). interaction_spatial: (1, 1, *pixels).
    """

    global_kernel: Tensor | None
    channel: Tensor | None
    interaction_channel: Tensor | None
    interaction_spatial: Tensor | None
    local: FirstLayer | None


def generate_hyper_kernels(blocks: Sequence[SFNEBlock]) -> list[HyperKernels]:
    """In float32 at least, whatever autocast would have: kernels are few, and everything is multiplied by them."""
    with torch.autocast(next(blocks[0].parameters()).device.type, enabled=False):
        networks = [block.slow_networks() for block in blocks]
        wanted = [(i, name) for i, of_block in enumerate(networks) for name in of_block]
        kernels = dict(zip(wanted, generate_kernels([networks[i][name] for i, name in wanted]), strict=True))
        return [
            HyperKernels(**{name: kernels.get((i, name)) for name in KERNELS}, local=local)
            for i, local in enumerate(_first_layers(blocks))
        ]


def _first_layers(blocks: Sequence[SFNEBlock]) -> Sequence[FirstLayer | None]:
    """Of the blocks' local slow networks, which are alike in all blocks."""
    local = [block.local for block in blocks if block.local is not None]
    networks = [network for branches in local for network in branches.slow_networks()]
    return local[0].kernels.first_layer(networks).split(len(blocks)) if networks else [None] * len(blocks)
