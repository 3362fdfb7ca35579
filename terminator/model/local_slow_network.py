"""Local slow networks: the parameters behind depth-wise kernels that depend on a context (spec §1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from terminator.model.config import SlowNetworkKind
from terminator.model.mixer import Init, Mixer, Mixers
from terminator.model.slow_network import FreeKernel, SlowNetwork, SlowRecipe

ALPHA, BETA = 1.0, 0.1  # of the renormalisation


class LocalSlowNetwork(SlowNetwork):
    """A slow network whose layers are renormalised and multiplied by X_i g; `LocalKernels` makes the kernel.

    Renormalisation: h ← α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂, with the norm over the grid per hidden channel.
    Context: g = GELU(Fc mean_batch R(adaptive_avg_pool(z))). Without one (`context_channels` None) X_i g is left out.
    """

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
        if context_channels is not None:
            self.context_reduce = Mixer(context_channels, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linears = Mixers(
                Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
                for _ in range(layers)
            )
        self.alpha: Tensor | None = None
        self.beta: Tensor | None = None
        if learn_renormalisation:  # else constants, as in the release (spec §9.4)
            self.alpha = nn.Parameter(torch.full((layers, hidden), ALPHA))
            self.beta = nn.Parameter(torch.full((layers, hidden), BETA))


class FreeLocalKernel(FreeKernel):
    """A free depth-wise kernel; a context multiplies it by X g."""

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


def build_local_slow_network(
    grid: Sequence[int],
    out: int,
    *,
    hidden: int,
    layers: int,
    recipe: SlowRecipe,
    context_channels: int | None,
    learn_renormalisation: bool,
) -> LocalSlowNetwork | FreeLocalKernel:
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
