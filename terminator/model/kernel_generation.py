"""From slow networks to their kernels, all networks of one shape at once (spec §1).

Hidden features of n networks are (n, points, hidden); networks on smaller grids leave their last points unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from terminator.model.config import SlowNetworkKind
from terminator.model.mixer import Mixer
from terminator.model.slow_network import FreeKernel, SlowNetwork


def generate_kernels(networks: Sequence[SlowNetwork | FreeKernel]) -> list[Tensor]:
    """The kernel of each network, (1, out, *grid), channels last in memory."""
    kernels: dict[int, Tensor] = {}
    alike: dict[tuple[int, int, int], list[SlowNetwork]] = {}
    for network in networks:
        if isinstance(network, FreeKernel):
            kernels[id(network)] = network.kernel
        else:
            shape = (len(network.grid), network.hidden, len(network.linears))
            alike.setdefault(shape, []).append(network)
    for members in alike.values():
        for network, kernel in zip(members, _generate(members), strict=True):
            kernels[id(network)] = kernel
    return [kernels[id(network)] for network in networks]


def _generate(networks: list[SlowNetwork]) -> list[Tensor]:
    kind, bias = networks[0].kind, position_biases(networks)
    h, waves = sine_features(networks)
    for i, wave in enumerate(waves):
        h = next_features(kind, stack([network.linears[i] for network in networks]).mix(h), wave, bias)
    kernels = []
    for network, features in zip(networks, h.unbind(), strict=True):
        rows = F.linear(features[: network.points], network.output.matrix, network.output.bias)  # (points, out)
        kernels.append(rows.view(*network.grid, -1).movedim(-1, 0).unsqueeze(0))
    return kernels


class StackedMixers(NamedTuple):
    """n mixers of one shape: weight (n, in, out), bias (n, 1, out)."""

    weight: Tensor
    bias: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """Each mixer on its own rows: (n, points, in) → (n, points, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


def stack(mixers: Sequence[Mixer], groups: int | None = None) -> StackedMixers:
    """Put mixers of one shape side by side; with `groups`, the outputs of each group in a row."""
    groups = groups or len(mixers)
    weight = torch.cat([mixer.weight for mixer in mixers]).view(groups, -1, mixers[0].weight.shape[1])
    return StackedMixers(weight.transpose(1, 2), torch.cat([mixer.bias for mixer in mixers]).view(groups, 1, -1))


def sine_features(networks: Sequence[SlowNetwork]) -> tuple[Tensor, list[Tensor | None]]:
    """What depends on coordinates and filters alone: h_0, and for each layer sin(F_i c) where the kind has it.

    The phases are float64 products of the parameters, and their sines float64: at ω0 = 2000 the phases of float32 are
    off by up to 1e-2, differently on every device (spec §9.1).
    """
    filters = [mixer for network in networks for mixer in network.filters]
    kind, dtype, each = networks[0].kind, filters[0].weight.dtype, len(filters) // len(networks)
    bits = pad_sequence([network.coordinate_bits for network in networks], batch_first=True)
    coordinates = bits.view(torch.float64)  # (n, points, axes)
    weight = torch.cat([mixer.weight for mixer in filters]).view(len(networks), -1, coordinates.shape[2]).double()
    bias = torch.cat([mixer.bias for mixer in filters]).view(len(networks), 1, -1).double()
    phases = torch.baddbmm(bias, coordinates, weight.transpose(1, 2))  # (n, points, filters · hidden)
    waves = torch.cat([phases.sin(), phases.cos()], dim=2) if kind is SlowNetworkKind.fourier_mlp else phases.sin()
    first, *rest = waves.to(dtype).chunk(each, dim=2)
    return first, list(rest) if rest else [None] * len(networks[0].linears)


def position_biases(networks: Sequence[SlowNetwork]) -> Tensor | None:
    """p of each network, (n, points, 1), where the kind has it."""
    if networks[0].kind is not SlowNetworkKind.sine_mfn:
        return None
    return pad_sequence([network.position_bias.flatten() for network in networks], batch_first=True).unsqueeze(2)


def next_features(kind: SlowNetworkKind, mixed: Tensor, wave: Tensor | None, bias: Tensor | None) -> Tensor:
    """h_i of A_i h_{i-1} + a_i."""
    if wave is not None and bias is not None:
        return torch.addcmul(bias, wave, mixed)
    return mixed.sin() if kind is SlowNetworkKind.siren else F.gelu(mixed)
