"""The network: SFNE blocks, no stem, no pooling between them; pixel mean → linear head (spec §7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from terminator.model.block import SFNEBlock
from terminator.model.config import TerminatorConfig
from terminator.model.penalty import Penalty


class Output(NamedTuple):
    """logits (B, classes); kernels: K_g of each block that has one, (1, C_i, *pixels)."""

    logits: Tensor
    kernels: tuple[Tensor, ...]


class Terminator(nn.Module):
    """Images (B, C, *pixels) → Output."""

    def __init__(
        self, config: TerminatorConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        image_channels, *pixels = image_shape
        outs = config.block_channels()
        self.previous = [config.block_previous(block) for block in range(config.depth)]
        blocks = [
            SFNEBlock(
                config,
                channels=channels,
                out=out,
                pixels=pixels,
                previous=len(self.previous[block]),
                global_layers=config.block_global_layers(block),
                dropout=config.block_dropout(block),
                generator=generator,
            )
            for block, (channels, out) in enumerate(zip([image_channels, *outs], outs, strict=False))
        ]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(outs[-1], classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self._penalty = Penalty(blocks, axes=len(pixels))

    def penalty(self) -> Tensor:
        """The norms of spec §8, without their factor l2; scalar."""
        return self._penalty()

    def forward(self, images: Tensor) -> Output:
        outputs: list[Tensor] = []
        kernels = []
        z = images
        for block, sources in zip(self.blocks, self.previous, strict=True):
            z, kernel = block(z, [outputs[source] for source in sources])
            outputs.append(z)
            kernels.append(kernel)
        logits = self.head(z.flatten(2).mean(2))
        return Output(logits, tuple(kernel for kernel in kernels if kernel is not None))
