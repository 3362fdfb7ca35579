"""Kernels from coordinates: by the formula, together as alone, and exact at high frequencies."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.model.config import SlowNetworkKind
from terminator.model.kernels import SlowNetwork, SlowRecipe, build_slow_network, coordinate_grid, generate_kernels


def network(
    grid: tuple[int, ...], out: int, kind: SlowNetworkKind = SlowNetworkKind.sine_mfn, omega_0: float = 2000.0
) -> SlowNetwork:
    recipe = SlowRecipe(kind, omega_0, torch.Generator().manual_seed(math.prod(grid) + out))
    built = build_slow_network(grid, out, hidden=4, layers=2, recipe=recipe)
    assert isinstance(built, SlowNetwork)
    if kind is SlowNetworkKind.sine_mfn:
        torch.nn.init.normal_(built.position_bias, generator=recipe.generator)
    return built


def plain_kernel(slow: SlowNetwork) -> Tensor:
    """The formulas of `SlowNetwork`, one network, in float64."""
    c = coordinate_grid(slow.grid)
    filters = [F.linear(c, mixer.matrix.double(), mixer.bias.double()) for mixer in slow.filters]
    if slow.kind is SlowNetworkKind.fourier_mlp:
        h = torch.cat([filters[0].sin(), filters[0].cos()], dim=1)
    else:
        h = filters[0].sin()
    for i, linear in enumerate(slow.linears):
        mixed = F.linear(h, linear.matrix.double(), linear.bias.double())
        if slow.kind is SlowNetworkKind.sine_mfn:
            h = filters[i + 1].sin() * mixed + slow.position_bias.double().view(-1, 1)
        else:
            h = mixed.sin() if slow.kind is SlowNetworkKind.siren else F.gelu(mixed)
    rows = F.linear(h, slow.output.matrix.double(), slow.output.bias.double())
    return rows.t().reshape(1, -1, *slow.grid)


def test_the_grid_runs_over_rows_first() -> None:
    assert coordinate_grid((2, 3)).tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]


@pytest.mark.parametrize("kind", [kind for kind in SlowNetworkKind if kind is not SlowNetworkKind.free])
def test_many_networks_at_once_are_each_their_formula(kind: SlowNetworkKind) -> None:
    networks = [network((5, 5), 3, kind), network((7,), 1, kind), network((3, 3), 2, kind), network((4,), 1, kind)]
    doubled = [slow.double() for slow in networks]
    for slow, kernel in zip(doubled, generate_kernels(doubled), strict=True):
        torch.testing.assert_close(kernel, plain_kernel(slow), rtol=1e-10, atol=1e-10)


def test_float32_networks_have_float64_phases() -> None:
    slow = network((32, 32), 2)
    (kernel,) = generate_kernels([slow])
    assert kernel.dtype is torch.float32
    # phases of float32 would be off by 1e-3 and more
    torch.testing.assert_close(kernel.double(), plain_kernel(slow), rtol=1e-5, atol=1e-6)


def test_initial_weights_follow_the_specification() -> None:
    recipe = SlowRecipe(SlowNetworkKind.sine_mfn, 10.0, torch.Generator().manual_seed(0))
    slow = SlowNetwork((8, 8), 400, hidden=2000, layers=1, recipe=recipe)
    for i, mixer in enumerate(slow.filters):
        # |w| = 2π·ω0·|u|·γ with |u| uniform to 1/√2 (mean 1/√8) and γ ~ Gamma(6/(i+1)) (mean 6/(i+1))
        expected = 2 * math.pi * 10.0 / math.sqrt(8) * 6 / (i + 1)
        assert mixer.weight.abs().mean().item() == pytest.approx(expected, rel=0.05)
        assert mixer.bias.count_nonzero() == 0
    # uniform to √(3/2000), the output's over √64
    assert slow.linears[0].weight.abs().max().item() == pytest.approx(math.sqrt(3 / 2000), rel=1e-3)
    assert slow.output.weight.abs().max().item() == pytest.approx(math.sqrt(3 / 2000) / 8, rel=1e-3)
    assert (slow.linears[0].bias == 1).all()
