"""Kernels: together as alone by the formula, exact at high frequencies; weights as the architecture says."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch

from terminator.model.config import SlowNetworkKind
from terminator.model.kernels import (
    LocalKernels,
    LocalSlowNetwork,
    SlowNetwork,
    SlowRecipe,
    coordinate_grid,
    first_layers,
    generate_kernel_ref,
    generate_kernels,
    local_kernel_ref,
)


def network(
    grid: tuple[int, ...], out: int, kind: SlowNetworkKind = SlowNetworkKind.sine_mfn, omega_0: float = 2000.0
) -> SlowNetwork:
    recipe = SlowRecipe(kind, omega_0, 4, 2, torch.Generator().manual_seed(math.prod(grid) + out))
    built = SlowNetwork(grid, out, recipe)
    if kind is SlowNetworkKind.sine_mfn:
        torch.nn.init.normal_(built.position_bias, generator=recipe.generator)
    return built


def test_the_grid_runs_over_rows_first() -> None:
    assert coordinate_grid((2, 3)).tolist() == [[-1, -1], [-1, 0], [-1, 1], [1, -1], [1, 0], [1, 1]]


@pytest.mark.parametrize("kind", [kind for kind in SlowNetworkKind if kind is not SlowNetworkKind.free])
def test_many_networks_at_once_are_each_their_formula(kind: SlowNetworkKind) -> None:
    networks = [network((5, 5), 3, kind), network((7,), 1, kind), network((3, 3), 2, kind), network((4,), 1, kind)]
    doubled = [slow.double() for slow in networks]
    for slow, kernel in zip(doubled, generate_kernels(doubled), strict=True):
        torch.testing.assert_close(kernel, generate_kernel_ref(slow), rtol=1e-10, atol=1e-10)


def test_float32_networks_have_float64_phases() -> None:
    slow = network((32, 32), 2)
    (kernel,) = generate_kernels([slow])
    assert kernel.dtype is torch.float32
    # phases of float32 would be off by 1e-3 and more
    torch.testing.assert_close(kernel.double(), generate_kernel_ref(deepcopy(slow).double()), rtol=1e-5, atol=1e-6)


def test_initial_weights_follow_the_specification() -> None:
    recipe = SlowRecipe(SlowNetworkKind.sine_mfn, 10.0, 2000, 1, torch.Generator().manual_seed(0))
    slow = SlowNetwork((8, 8), 400, recipe)
    for i, mixer in enumerate(slow.filters):
        # |w| = 2π·ω0·|u|·γ with |u| uniform to 1/√2 (mean 1/√8) and γ ~ Gamma(6/(i+1)) (mean 6/(i+1))
        expected = 2 * math.pi * 10.0 / math.sqrt(8) * 6 / (i + 1)
        assert mixer.weight.abs().mean().item() == pytest.approx(expected, rel=0.05)
        assert mixer.bias.count_nonzero() == 0
    # uniform to √(3/2000), the output's over √64
    assert slow.linears[0].weight.abs().max().item() == pytest.approx(math.sqrt(3 / 2000), rel=1e-3)
    assert slow.output.weight.abs().max().item() == pytest.approx(math.sqrt(3 / 2000) / 8, rel=1e-3)
    assert (slow.linears[0].bias == 1).all()


def local_networks(*, learn: bool) -> list[LocalSlowNetwork]:
    recipe = SlowRecipe(SlowNetworkKind.sine_mfn, 2000.0, 4, 2, torch.Generator().manual_seed(0))
    return [
        LocalSlowNetwork((size, size), 3, recipe, has_context=True, learn_renormalisation=learn).double()
        for size in (3, 5)
    ]


@pytest.mark.parametrize("learn", [False, True])
def test_kernels_generated_together_are_each_their_formula(learn: bool) -> None:
    slow = local_networks(learn=learn)
    z = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    generator = LocalKernels(slow, (6, 6)).double()
    contexts = z.mean(0, keepdim=True).flatten(2).transpose(1, 2).repeat(2, 1, 1)
    for network, kernel in zip(slow, generator(*first_layers([generator]), contexts), strict=True):
        # a learned α starts as the float32 number nearest to it
        torch.testing.assert_close(kernel, local_kernel_ref(network, z), rtol=1e-7 if learn else 1e-10, atol=1e-10)


def test_several_blocks_share_their_first_layer() -> None:
    blocks = [LocalKernels(local_networks(learn=False), (6, 6)).double() for _ in range(2)]
    for block, shared in zip(blocks, first_layers(blocks), strict=True):
        (alone,) = first_layers([block])
        assert shared is not None
        assert alone is not None
        torch.testing.assert_close(shared.features, alone.features)
        torch.testing.assert_close(shared.waves, alone.waves)
