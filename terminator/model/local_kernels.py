"""The depth-wise kernels of a block's local branches, generated together (spec §1).

Features of n networks are (n, points, hidden); a mask keeps the unused points of smaller kernels at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from terminator.model.kernel_generation import next_features, position_biases, sine_features, stack
from terminator.model.local_slow_network import ALPHA, BETA, FreeLocalKernel, LocalSlowNetwork
from terminator.model.pooling import pooling_bins


class FirstLayer(NamedTuple):
    """What local slow networks compute before they see a context: h_1, renormalised; later layers' waves; p."""

    features: Tensor
    waves: tuple[Tensor | None, ...]
    bias: Tensor | None

    def split(self, parts: int) -> list[FirstLayer]:
        """Equal shares of the networks, in order."""
        columns = [_split(tensor, parts) for tensor in (self.features, self.bias, *self.waves)]
        return [FirstLayer(features, tuple(waves), bias) for features, bias, *waves in zip(*columns, strict=True)]


def _split(tensor: Tensor | None, parts: int) -> Sequence[Tensor | None]:
    return [None] * parts if tensor is None else tensor.chunk(parts)


class LocalKernels(nn.Module):
    """Generates the kernels of local branches on `grids`, whose contexts have `pixels`."""

    bins: Tensor
    bin_sizes: Tensor
    mask: Tensor

    def __init__(self, grids: Sequence[Sequence[int]], pixels: Sequence[int]) -> None:
        super().__init__()
        bins = [pooling_bins(pixels, grid) for grid in grids]
        self.register_buffer("bins", pad_sequence(bins, batch_first=True), persistent=False)  # (n, points, pixels)
        sizes = [matrix.sum(1, keepdim=True) for matrix in bins]
        self.register_buffer("bin_sizes", pad_sequence(sizes, batch_first=True, padding_value=1.0), persistent=False)
        used = [torch.ones(len(matrix), 1) for matrix in bins]
        self.register_buffer("mask", pad_sequence(used, batch_first=True), persistent=False)

    def first_layer(self, networks: Sequence[LocalSlowNetwork]) -> FirstLayer:
        """Of the networks of one block, or of several blocks in turn."""
        h, (wave, *waves) = sine_features(networks)
        bias = position_biases(networks)
        mixed = stack([network.linears[0] for network in networks]).mix(h)
        mask = self.mask.repeat(len(networks) // len(self.mask), 1, 1)
        h = next_features(networks[0].kind, mixed, wave, bias) * mask
        return FirstLayer(_renormalise(h, networks, 0), tuple(waves), bias)

    def forward(self, networks: Sequence[LocalSlowNetwork], first: FirstLayer, contexts: Tensor | None) -> list[Tensor]:
        """`contexts`: (n, pixels, C), means over the batch, None for networks without. → n × (out, 1, *grid)."""
        gates = self._gates(networks, contexts) if contexts is not None else None
        h = first.features if gates is None else first.features * gates[0]
        for i, wave in enumerate(first.waves, start=1):
            mixed = stack([network.linears[i] for network in networks]).mix(h)
            h = next_features(networks[0].kind, mixed, wave, first.bias) * self.mask
            h = _renormalise(h, networks, i)
            h = h if gates is None else h * gates[i]
        rows = stack([network.output for network in networks]).mix(h).transpose(1, 2)  # (n, out, points)
        return [
            kernel[:, : network.points].reshape(-1, 1, *network.grid)
            for network, kernel in zip(networks, rows.unbind(), strict=True)
        ]

    def free(self, networks: Sequence[FreeLocalKernel], contexts: Tensor | None) -> list[Tensor]:
        """The same for free kernels, which have no layers."""
        kernels = [network.kernel.transpose(0, 1) for network in networks]
        if contexts is None:
            return kernels
        g = self._context(networks, contexts)
        gates = stack([network.context_linear for network in networks]).mix(g).transpose(1, 2)  # (n, out, points)
        return [
            kernel * gate[:, : kernel[0].numel()].reshape(kernel.shape)
            for kernel, gate in zip(kernels, gates.unbind(), strict=True)
        ]

    def _gates(self, networks: Sequence[LocalSlowNetwork], contexts: Tensor) -> tuple[Tensor, ...]:
        """X_i g of each layer, (n, points, hidden)."""
        linears = [mixer for network in networks for mixer in network.context_linears]
        stacked = stack(linears, len(networks)).mix(self._context(networks, contexts))
        return stacked.chunk(len(linears) // len(networks), dim=2)

    def _context(self, networks: Sequence[LocalSlowNetwork | FreeLocalKernel], contexts: Tensor) -> Tensor:
        """g, (n, points, hidden). Pooling and R are linear, so that they can follow the mean over the batch."""
        pooled = torch.bmm(self.bins, contexts) / self.bin_sizes
        reduced = stack([network.context_reduce for network in networks]).mix(pooled)
        return F.gelu(stack([network.context_fc for network in networks]).mix(reduced))


def _renormalise(h: Tensor, networks: Sequence[LocalSlowNetwork], i: int) -> Tensor:
    """α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂ after layer i + 1, the norm over the points."""
    unit = F.normalize(h, dim=1)
    alphas = [network.alpha[i] for network in networks if network.alpha is not None]
    betas = [network.beta[i] for network in networks if network.beta is not None]
    if not alphas or not betas:
        return torch.add(ALPHA * h.detach(), unit, alpha=BETA)
    return torch.stack(alphas).unsqueeze(1) * h.detach() + torch.stack(betas).unsqueeze(1) * unit
