"""Local kernels: pooling as PyTorch does it, together as alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.model.config import SlowNetworkKind
from terminator.model.kernels import (
    ALPHA,
    BETA,
    LocalKernels,
    LocalSlowNetwork,
    SlowRecipe,
    coordinate_grid,
    pooling_bins,
)


@pytest.mark.parametrize(("pixels", "size"), [((8, 8), 3), ((6, 10), 5), ((4, 4), 7), ((9,), 3), ((5,), 5)], ids=str)
def test_pooling_is_pytorchs(pixels: tuple[int, ...], size: int) -> None:
    x = torch.randn(1, 2, *pixels, generator=torch.Generator().manual_seed(0))
    bins = pooling_bins(pixels, [size] * len(pixels))
    pooled = (bins @ x.flatten(2).squeeze(0).t()) / bins.sum(1, keepdim=True)
    pool = F.adaptive_avg_pool2d if len(pixels) == 2 else F.adaptive_avg_pool1d
    torch.testing.assert_close(pooled.t(), pool(x, size).flatten(2).squeeze(0))


def networks(*, learn: bool) -> list[LocalSlowNetwork]:
    recipe = SlowRecipe(SlowNetworkKind.sine_mfn, 2000.0, torch.Generator().manual_seed(0))
    return [
        LocalSlowNetwork(
            (size, size),
            3,
            hidden=4,
            layers=2,
            recipe=recipe,
            context_channels=3,
            learn_renormalisation=learn,
        ).double()
        for size in (3, 5)
    ]


def plain_kernel(slow: LocalSlowNetwork, z: Tensor) -> Tensor:
    """The formulas of spec §1 in their own order: R before the mean over the batch."""
    pooled = F.adaptive_avg_pool2d(z, slow.grid).flatten(2).transpose(1, 2)  # (B, points, C)
    g = F.linear(pooled, slow.context_reduce.matrix, slow.context_reduce.bias).mean(0)
    g = F.gelu(F.linear(g, slow.context_fc.matrix, slow.context_fc.bias))
    waves = [F.linear(coordinate_grid(slow.grid), mixer.matrix, mixer.bias).sin() for mixer in slow.filters]
    h = waves[0]
    for i, linear in enumerate(slow.linears):
        h = waves[i + 1] * F.linear(h, linear.matrix, linear.bias) + slow.position_bias.view(-1, 1)
        h = ALPHA * h.detach() + BETA * h / h.norm(dim=0)
        h = h * F.linear(g, slow.context_linears[i].matrix, slow.context_linears[i].bias)
    return F.linear(h, slow.output.matrix, slow.output.bias).t().reshape(3, 1, *slow.grid)


@pytest.mark.parametrize("learn", [False, True])
def test_kernels_generated_together_are_each_their_formula(learn: bool) -> None:
    slow = networks(learn=learn)
    z = torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    generator = LocalKernels([network.grid for network in slow], (6, 6)).double()
    contexts = z.mean(0, keepdim=True).flatten(2).transpose(1, 2).repeat(2, 1, 1)
    for network, kernel in zip(slow, generator(slow, generator.first_layer(slow), contexts), strict=True):
        # a learned α starts as the float32 number nearest to it
        torch.testing.assert_close(kernel, plain_kernel(network, z), rtol=1e-7 if learn else 1e-10, atol=1e-10)


def test_several_blocks_share_their_first_layer() -> None:
    blocks = [networks(learn=False), networks(learn=False)]
    generator = LocalKernels([(3, 3), (5, 5)], (6, 6)).double()
    together = generator.first_layer([network for block in blocks for network in block]).split(2)
    for block, shared in zip(blocks, together, strict=True):
        alone = generator.first_layer(block)
        torch.testing.assert_close(shared.features, alone.features)
        torch.testing.assert_close(shared.waves, alone.waves)
