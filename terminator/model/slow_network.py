"""Slow networks: coordinates → hyper-kernels (spec §1), and the kinds that take their place (spec §11)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from terminator.model.config import SlowNetworkKind
from terminator.model.coordinates import coordinate_grid
from terminator.model.mixer import Init, Mixer, Mixers


class SlowRecipe(NamedTuple):
    """What all slow networks of a network share; `generator` draws their weights."""

    kind: SlowNetworkKind
    omega_0: float
    generator: torch.Generator


class SlowNetwork(nn.Module):
    """The parameters of a small implicit network on a fixed grid; `generate_kernels` makes kernels of them.

    `sine_mfn`: h_0 = sin(F_0 c), h_i = sin(F_i c) ⊙ (A_i h_{i-1} + a_i) + p (MAGNet; Romero et al. 2110.08059).
    `siren`: h_0 = sin(F_0 c), h_i = sin(A_i h_{i-1} + a_i) (Sitzmann et al. 2006.09661).
    `fourier_mlp`: h_0 = [sin, cos](F_0 c) with F_0 fixed, h_i = GELU(A_i h_{i-1} + a_i) (Tancik et al. 2006.10739).
    In all of them K = A_o h_n + a_o. ω0 scales F_0 (in `sine_mfn` every F_i).
    """

    coordinate_bits: Tensor

    def __init__(self, grid: Sequence[int], out: int, *, hidden: int, layers: int, recipe: SlowRecipe) -> None:
        super().__init__()
        axes, generator = len(grid), recipe.generator
        self.grid = tuple(grid)
        self.kind = recipe.kind
        self.hidden = hidden
        # as integers, since `.to(dtype)` and the like would round a floating buffer, and phases need float64
        self.register_buffer("coordinate_bits", coordinate_grid(grid).view(torch.int64), persistent=False)
        self.filters = Mixers(_filters(recipe, axes, hidden, layers))
        self.linears = Mixers(
            Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
            for _ in range(layers)
        )
        self.output = Mixer(hidden, out, axes, init=Init.kaiming_uniform_linear, generator=generator)
        with torch.no_grad():
            self.output.weight.mul_(math.sqrt(1 / math.prod(grid)))  # Chang et al. 2020
        if recipe.kind is SlowNetworkKind.sine_mfn:
            self.position_bias = nn.Parameter(torch.zeros(1, 1, *grid))

    @property
    def points(self) -> int:
        """Of the grid."""
        return math.prod(self.grid)


class FreeKernel(nn.Module):
    """The kernel itself as a parameter, (1, out, *grid): no slow network at all. Starts with the MFN's spread."""

    def __init__(self, grid: Sequence[int], out: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(1, out, *grid))
        nn.init.normal_(self.kernel, std=math.sqrt(1 / math.prod(grid)), generator=generator)


def build_slow_network(
    grid: Sequence[int], out: int, *, hidden: int, layers: int, recipe: SlowRecipe
) -> SlowNetwork | FreeKernel:
    """What makes a kernel of `out` channels on `grid`."""
    if recipe.kind is SlowNetworkKind.free:
        return FreeKernel(grid, out, generator=recipe.generator)
    return SlowNetwork(grid, out, hidden=hidden, layers=layers, recipe=recipe)


def _filters(recipe: SlowRecipe, axes: int, hidden: int, layers: int) -> list[Mixer]:
    kind, omega_0, generator = recipe
    if kind is SlowNetworkKind.sine_mfn:
        return [_sine_filter(i, axes, hidden, omega_0, generator) for i in range(layers + 1)]
    if kind is SlowNetworkKind.siren:
        first = Mixer(axes, hidden, axes, init=Init.default, generator=generator)
        nn.init.uniform_(first.weight, -omega_0 / axes, omega_0 / axes, generator=generator)
        return [first]
    first = Mixer(axes, hidden // 2, axes, init=Init.default, generator=generator)
    nn.init.normal_(first.weight, std=2 * math.pi * omega_0, generator=generator)
    nn.init.zeros_(first.bias)
    return [first.requires_grad_(False)]


def _sine_filter(i: int, axes: int, hidden: int, omega_0: float, generator: torch.Generator) -> Mixer:
    """F_i: the default linear init × 2π·ω0·γ, γ ~ Gamma(6/(i+1), 1) per (hidden, axis); bias 0 (spec §1)."""
    mixer = Mixer(axes, hidden, axes, init=Init.default, generator=generator)
    with torch.no_grad():
        gamma = torch._standard_gamma(torch.full_like(mixer.weight, 6 / (i + 1)), generator=generator)
        mixer.weight.mul_(2 * math.pi * omega_0 * gamma)
        mixer.bias.zero_()
    return mixer
