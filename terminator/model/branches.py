"""Gating units (spec §4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import Gate, SelfGate, TerminatorConfig, Wiring
from terminator.model.kernels import (
    FirstLayer,
    FreeLocalKernel,
    LocalKernels,
    LocalSlowNetwork,
    SlowRecipe,
    build_local_slow_network,
    build_slow_network,
)
from terminator.model.mixer import Init, Mixer, mix
from terminator.model.normalisation import BatchStandardise, ContextMean, instance_standardise
from terminator.model.ops import depthwise_convolution, pixel_mean, twice_elementwise


class RecursiveGatedUnit(nn.Module):
    """RGU: q = GELU(IS(W_k x ⊙ W_q W_v x)) + p, y = W_y q (spec §4). (B, C, *pixels) → same."""

    def __init__(self, channels: int, pixels: Sequence[int], *, generator: torch.Generator) -> None:
        super().__init__()
        self.k, self.v, self.q, self.y = (
            Mixer(channels, channels, len(pixels), init=Init.kaiming_uniform_linear, generator=generator)
            for _ in range(4)
        )
        self.position_bias = nn.Parameter(torch.zeros(1, 1, *pixels))

    def forward(self, x: Tensor) -> Tensor:
        q = F.gelu(instance_standardise(self.k(x) * self._q(x)))
        y: Tensor = self.y(q + self.position_bias.to(q.dtype))
        return y

    def _q(self, x: Tensor) -> Tensor:
        """W_q W_v x: two mixers where they learn, their product where nothing does."""
        if torch.is_grad_enabled():
            q: Tensor = self.q(self.v(x))
            return q
        weight = (self.q.matrix @ self.v.matrix).view_as(self.q.weight)
        return mix(x, weight, self.q.matrix @ self.v.bias + self.q.bias)


class GatedLinearUnit(nn.Module):
    """GLU: σ(W_k x) ⊙ W_v x (Dauphin et al. 2017, 1612.08083). (B, C, *pixels) → same."""

    def __init__(self, channels: int, axes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.k, self.v = (
            Mixer(channels, channels, axes, init=Init.kaiming_uniform_linear, generator=generator) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.sigmoid(self.k(x)) * self.v(x)
        return y


def build_gate(kind: Gate, channels: int, pixels: Sequence[int], *, generator: torch.Generator) -> nn.Module:
    """One of the two units behind F."""
    if kind is Gate.rgu:
        return RecursiveGatedUnit(channels, pixels, generator=generator)
    if kind is Gate.glu:
        return GatedLinearUnit(channels, len(pixels), generator=generator)
    return Mixer(channels, channels, len(pixels), init=Init.kaiming_uniform_linear, generator=generator)


def build_self_gate(kind: SelfGate, channels: int, axes: int, *, generator: torch.Generator) -> nn.Module:
    """What the branch `si_glu` does to O. Si-GLU, σ(x) ⊙ x, is PyTorch's SiLU."""
    if kind is SelfGate.si_glu:
        return nn.SiLU()
    if kind is SelfGate.glu:
        return GatedLinearUnit(channels, axes, generator=generator)
    return nn.Identity()


class HyperChannelInteraction(nn.Module):
    """HCI: x ⊙ σ((k ⊙ s) ⊙ s), s the pixel mean of x, k from a channel slow network. (B, C, *pixels) → same."""

    def __init__(self, channels: int, *, hidden: int, layers: int, recipe: SlowRecipe) -> None:
        super().__init__()
        self.slow = build_slow_network((channels,), 1, hidden=hidden, layers=layers, recipe=recipe)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (1, 1, C), of `slow`."""
        s = pixel_mean(x).view(*x.shape[:2], *[1] * (x.dim() - 2))
        return x * torch.sigmoid(twice_elementwise(_over_channels(kernel, x), s)).to(x.dtype)


class HyperInteraction(nn.Module):
    """HI: x ⊙ σ(m ⊙ c), c and m from a source's pixel and channel means. Twice (B, C, *pixels) → same."""

    def __init__(
        self,
        channels: int,
        pixels: Sequence[int],
        *,
        channel_hidden: int,
        spatial_hidden: int,
        layers: int,
        recipe: SlowRecipe,
    ) -> None:
        super().__init__()
        self.channel_slow = build_slow_network((channels,), 1, hidden=channel_hidden, layers=layers, recipe=recipe)
        self.spatial_slow = build_slow_network(pixels, 1, hidden=spatial_hidden, layers=layers, recipe=recipe)

    def forward(self, source: Tensor, x: Tensor, channel_kernel: Tensor, spatial_kernel: Tensor) -> Tensor:
        """`channel_kernel`: (1, 1, C), of `channel_slow`. `spatial_kernel`: (1, 1, *pixels), of `spatial_slow`."""
        pixel_mean = source.mean(list(range(2, x.dim())), keepdim=True)  # (B, C, 1, …)
        channel_mean = source.mean(1, keepdim=True)  # (B, 1, *pixels)
        c = twice_elementwise(_over_channels(channel_kernel, x), pixel_mean)
        m = twice_elementwise(spatial_kernel, channel_mean)
        gate = torch.sigmoid(m.movedim(1, -1) * c.movedim(1, -1)).movedim(-1, 1)  # made channels-last, as x is
        return x * gate.to(x.dtype)


def _over_channels(kernel: Tensor, x: Tensor) -> Tensor:
    """(1, 1, C) → (1, C, 1, …)."""
    return kernel.view(1, -1, *[1] * (x.dim() - 2))


class LocalBranch(nn.Module):
    """GELU(BS(mixer(kernel ⊛ Y))) + one scalar, the kernel made by `slow`. (B, C, *pixels) → same."""

    def __init__(
        self,
        channels: int,
        axes: int,
        slow: LocalSlowNetwork | FreeLocalKernel,
        *,
        learn_scalar: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.slow = slow
        self.mixer = Mixer(channels, channels, axes, init=Init.kaiming_normal, generator=generator)
        self.standardise = BatchStandardise()
        self.bias = nn.Parameter(torch.zeros(1)) if learn_scalar else None

    def forward(self, y: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (C, 1, *grid)."""
        convolved = self.convolve(y, kernel)
        return convolved if self.bias is None else convolved + self.bias.to(convolved.dtype)

    def convolve(self, y: Tensor, kernel: Tensor) -> Tensor:
        """The branch without its scalar."""
        return F.gelu(self.standardise(self.mixer(depthwise_convolution(kernel, y))))


class LocalBranches(nn.Module):
    """A block's local branches, each wired from a context to the features that its kernel convolves."""

    def __init__(self, config: TerminatorConfig, channels: int, pixels: Sequence[int], recipe: SlowRecipe) -> None:
        super().__init__()
        axes = len(pixels)
        self.all: list[LocalBranch] = []
        for i, (size, _) in enumerate(config.local_branches()):
            slow = build_local_slow_network(
                (size,) * axes,
                channels,
                hidden=config.local_hidden,
                layers=config.local_layers,
                recipe=recipe,
                context_channels=channels if config.local_context else None,
                learn_renormalisation=config.learn_renormalisation,
            )
            self.all.append(
                LocalBranch(channels, axes, slow, learn_scalar=config.learn_scalars, generator=recipe.generator)
            )
            self.add_module(str(i), self.all[-1])
        self.contexts, self.convolved = _ends([wiring for _, wiring in config.local_branches()])
        self.kernels = LocalKernels([(size,) * axes for size, _ in config.local_branches()], pixels)
        read = sorted(set(self.contexts)) if config.local_context else []
        self.context_mean = nn.ModuleDict({source: ContextMean() for source in read})

    def forward(self, sources: dict[str, Tensor], first: FirstLayer | None) -> list[Tensor]:
        """`sources`: Z, M and Hc, those that are needed, by their names in the wirings. → each branch's value."""
        kernels = self._generate(sources, first)
        return [
            branch(sources[name], kernel)
            for branch, name, kernel in zip(self.all, self.convolved, kernels, strict=True)
        ]

    def slow_networks(self) -> list[LocalSlowNetwork]:
        """Those that are no free kernels."""
        return [branch.slow for branch in self.all if isinstance(branch.slow, LocalSlowNetwork)]

    def _generate(self, sources: dict[str, Tensor], first: FirstLayer | None) -> list[Tensor]:
        means = {name: mean(sources[name]) for name, mean in self.context_mean.items()}
        # the kernels are few and multiply everything: float32 at least, whatever autocast would have
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            contexts = torch.cat([means[name] for name in self.contexts]) if means else None  # (n, pixels, C)
            if first is None:
                free = [branch.slow for branch in self.all if isinstance(branch.slow, FreeLocalKernel)]
                return self.kernels.free(free, contexts)
            kernels: list[Tensor] = self.kernels(self.slow_networks(), first, contexts)
            return kernels


def _ends(wirings: list[Wiring]) -> tuple[list[str], list[str]]:
    """The context and the convolved features of each wiring."""
    words = [wiring.value.split("_to_") for wiring in wirings]
    return [context for context, _ in words], [convolved for _, convolved in words]
