"""The network: SFNE blocks, no stem, no pooling between them; pixel mean → linear head (spec §7)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from terminator.model.block import SFNEBlock
from terminator.model.channels import channels_last, pixel_mean
from terminator.model.config import TerminatorConfig
from terminator.model.hyper_kernels import HyperKernels, generate_hyper_kernels
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
        _warn_of_wide_kernels(config, pixels)
        outs = config.block_channels()
        self.previous = [config.block_previous(block) for block in range(config.depth)]
        self._blocks = [
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
        self.blocks = nn.ModuleList(self._blocks)
        self.head = nn.Linear(outs[-1], classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self._penalty = Penalty(self._blocks, axes=len(pixels))
        self._fixed_kernels: list[HyperKernels] | None = None

    def forward(self, images: Tensor) -> Output:
        hyper_kernels = self._fixed_kernels or generate_hyper_kernels(self._blocks)
        z = channels_last(images)
        outputs: list[Tensor] = []
        for block, sources, kernels in zip(self.blocks, self.previous, hyper_kernels, strict=True):
            z, _ = block(z, [outputs[source] for source in sources], kernels)
            outputs.append(z)
        logits = self.head(pixel_mean(z))
        global_kernels = (kernels.global_kernel for kernels in hyper_kernels)
        return Output(logits, tuple(kernel for kernel in global_kernels if kernel is not None))

    def penalty(self) -> Tensor:
        """The norms of spec §8, without their factor l2; scalar."""
        return self._penalty()

    @contextmanager
    def fixed_kernels(self) -> Iterator[None]:
        """Inside, parameters must not change: what depends on them and coordinates alone is generated once."""
        with torch.no_grad():
            self._fixed_kernels = generate_hyper_kernels(self._blocks)
        try:
            yield
        finally:
            self._fixed_kernels = None


def _warn_of_wide_kernels(config: TerminatorConfig, pixels: Sequence[int]) -> None:
    """A kernel of 2N − 1 sees all of N pixels from each of them."""
    reach = 2 * min(pixels) - 1
    wide = [size for size, _ in config.local_branches() if size > reach]
    if wide:
        size = "×".join(str(side) for side in pixels)
        message = f"model.local_kernels={config.local_kernels}: on {size} pixels sizes beyond {reach} see nothing more"
        warnings.warn(message, stacklevel=3)
