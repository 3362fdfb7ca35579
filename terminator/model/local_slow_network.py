"""Local slow networks: depth-wise kernels that depend on a context (spec §1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import SlowNetworkKind
from terminator.model.mixer import Init, Mixer, Mixers
from terminator.model.slow_network import FreeKernel, SlowNetwork, SlowRecipe

ALPHA, BETA = 1.0, 0.1  # of the renormalisation


class LocalSlowNetwork(SlowNetwork):
    """Context → depth-wise kernel. (1, C, *pixels), the context's mean over the batch → (out, 1, *grid).

    Each layer is renormalised, h ← α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂ with the norm over the grid per hidden channel, and
    then multiplied by X_i g. Without a context (`context_channels` None) only the renormalisation stays.
    """

    alpha: Tensor | list[float]
    beta: Tensor | list[float]

    def __init__(
        self,
        grid: Sequence[int],
        out: int,
        *,
        hidden: int,
        layers: int,
        recipe: SlowRecipe,
        context_channels: int | None,
        learn_renormalisation: bool,
    ) -> None:
        super().__init__(grid, out, hidden=hidden, layers=layers, recipe=recipe)
        axes, generator = len(grid), recipe.generator
        self.has_context = context_channels is not None
        if context_channels is not None:
            self.context_reduce = Mixer(context_channels, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linears = Mixers(
                Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
                for _ in range(layers)
            )
        if learn_renormalisation:
            self.alpha = nn.Parameter(torch.full((layers, hidden), ALPHA))
            self.beta = nn.Parameter(torch.full((layers, hidden), BETA))
        else:  # constants, as in the release (spec §9.4)
            self.alpha, self.beta = [ALPHA] * layers, [BETA] * layers

    def forward(self, context: Tensor | None = None) -> Tensor:
        gates = self.gates(context) if context is not None else [None] * len(self.linears)
        h, *rest = self.features()
        for i, (linear, gate) in enumerate(zip(self.linears, gates, strict=True)):
            h = self.layer(linear.rows(h), rest[i] if rest else None)
            h = self.alpha[i] * h.detach() + self.beta[i] * F.normalize(h, dim=0)
            h = h if gate is None else h * gate
        return self.as_kernel(self.output.rows(h)).transpose(0, 1)

    def gates(self, context: Tensor) -> list[Tensor]:
        """X_i g of every layer, (points, hidden)."""
        g = reduce_context(context, self.grid, self.context_reduce, self.context_fc)
        return [linear.rows(g) for linear in self.context_linears]


class FreeLocalKernel(FreeKernel):
    """A free depth-wise kernel; a context multiplies it by X g. (1, C, *pixels) → (out, 1, *grid)."""

    def __init__(
        self,
        grid: Sequence[int],
        out: int,
        *,
        hidden: int,
        context_channels: int | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__(grid, out, generator=generator)
        axes = len(grid)
        self.grid = tuple(grid)
        if context_channels is not None:
            self.context_reduce = Mixer(context_channels, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linear = Mixer(
                hidden, out, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator
            )

    def forward(self, context: Tensor | None = None) -> Tensor:
        kernel = self.kernel.transpose(0, 1)
        if context is None:
            return kernel
        g = reduce_context(context, self.grid, self.context_reduce, self.context_fc)
        return kernel * self.context_linear.rows(g).t().reshape(kernel.shape)


def reduce_context(context: Tensor, grid: Sequence[int], reduce: Mixer, fc: Mixer) -> Tensor:
    """g = GELU(Fc mean_batch R(adaptive_avg_pool(z))), from the mean of z: (1, C, *pixels) → (points, hidden).

    Pooling and R are linear, so the mean over the batch comes first, where it costs least.
    """
    pooled = (
        F.adaptive_avg_pool1d(context, grid[0])
        if len(grid) == 1
        else F.adaptive_avg_pool2d(context, (grid[0], grid[1]))
    )
    pooled = pooled.flatten(2).squeeze(0).t()  # (points, C)
    return F.gelu(fc.rows(reduce.rows(pooled)))


def build_local_slow_network(
    grid: Sequence[int],
    out: int,
    *,
    hidden: int,
    layers: int,
    recipe: SlowRecipe,
    context_channels: int | None,
    learn_renormalisation: bool,
) -> nn.Module:
    """What makes a depth-wise kernel of `out` channels on `grid`."""
    if recipe.kind is SlowNetworkKind.free:
        return FreeLocalKernel(grid, out, hidden=hidden, context_channels=context_channels, generator=recipe.generator)
    return LocalSlowNetwork(
        grid,
        out,
        hidden=hidden,
        layers=layers,
        recipe=recipe,
        context_channels=context_channels,
        learn_renormalisation=learn_renormalisation,
    )
