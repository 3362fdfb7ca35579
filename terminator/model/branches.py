"""The branches of a block: the units they are made of, then each as one object (docs/architecture.md §4–6).

To add a branch: an entry in BRANCHES, and its switch in `terminator.model.config.Branches`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import Gate, SelfGate, TerminatorConfig
from terminator.model.kernels import (
    FirstLayer,
    FreeLocalKernel,
    HyperKernels,
    LocalKernels,
    LocalSlowNetwork,
    SlowRecipe,
    build_local_slow_network,
    build_slow_network,
    generate_kernel_ref,
    local_kernel_ref,
)
from terminator.model.mixer import Init, Mixer, mix, mix_ref
from terminator.model.normalisation import BatchStandardise, ContextMean, instance_standardise, standardise_ref
from terminator.model.ops import (
    depthwise_convolution,
    depthwise_convolution_ref,
    multiply_samples,
    over_pixels,
    pixel_axes,
    pixel_mean,
    tile_channels,
    twice_elementwise,
)


class Site(NamedTuple):
    """Where a branch is built: the network's configuration, the block's input, the layers of its global slow network,
    and the number of earlier blocks that it reads. `generator` draws the weights."""

    config: TerminatorConfig
    channels: int
    pixels: Sequence[int]
    global_layers: int
    previous: int
    generator: torch.Generator

    def recipe(self, hidden: int, layers: int) -> SlowRecipe:
        """Of a slow network of this size."""
        return SlowRecipe(self.config.slow_network, self.config.omega_0, hidden, layers, self.generator)


class RecursiveGatedUnit(nn.Module):
    """RGU: q = GELU(IS(W_k x ⊙ W_q W_v x)) + p, y = W_y q (§4). (B, C, *pixels) → same."""

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

    def forward_ref(self, x: Tensor) -> Tensor:
        q = mix_ref(self.k, x) * mix_ref(self.q, mix_ref(self.v, x))
        return mix_ref(self.y, F.gelu(standardise_ref(q, pixel_axes(q))) + self.position_bias)

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


def build_gate(site: Site) -> nn.Module:
    """One of the two units behind F."""
    channels, axes, generator = site.channels, len(site.pixels), site.generator
    if site.config.gate is Gate.rgu:
        return RecursiveGatedUnit(channels, site.pixels, generator=generator)
    if site.config.gate is Gate.glu:
        return GatedLinearUnit(channels, axes, generator=generator)
    return Mixer(channels, channels, axes, init=Init.kaiming_uniform_linear, generator=generator)


def build_self_gate(site: Site) -> nn.Module:
    """What the branch `si_glu` does to O. Si-GLU, σ(x) ⊙ x, is PyTorch's SiLU."""
    if site.config.self_gate is SelfGate.glu:
        return GatedLinearUnit(site.channels, len(site.pixels), generator=site.generator)
    return nn.SiLU() if site.config.self_gate is SelfGate.si_glu else nn.Identity()


class HyperChannelInteraction(nn.Module):
    """HCI: x ⊙ σ((k ⊙ s) ⊙ s), s the pixel mean of x, k from a channel slow network. (B, C, *pixels) → same."""

    def __init__(self, channels: int, recipe: SlowRecipe) -> None:
        super().__init__()
        self.slow = build_slow_network((channels,), 1, recipe)

    def forward(self, x: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (1, 1, C), of `slow`."""
        s = pixel_mean(x).view(*x.shape[:2], *[1] * (x.dim() - 2))
        return x * torch.sigmoid(twice_elementwise(over_pixels(kernel, x), s)).to(x.dtype)

    def forward_ref(self, x: Tensor) -> Tensor:
        s = x.mean(pixel_axes(x), keepdim=True)
        return x * torch.sigmoid(over_pixels(generate_kernel_ref(self.slow), x) * s * s)


class HyperInteraction(nn.Module):
    """HI: x ⊙ σ(m ⊙ c), c and m from a source's pixel and channel means. Twice (B, C, *pixels) → same."""

    def __init__(self, channels: int, pixels: Sequence[int], of_channel: SlowRecipe, of_spatial: SlowRecipe) -> None:
        super().__init__()
        self.channel_slow = build_slow_network((channels,), 1, of_channel)
        self.spatial_slow = build_slow_network(pixels, 1, of_spatial)

    def forward(self, source: Tensor, x: Tensor, channel_kernel: Tensor, spatial_kernel: Tensor) -> Tensor:
        """`channel_kernel`: (1, 1, C), of `channel_slow`. `spatial_kernel`: (1, 1, *pixels), of `spatial_slow`."""
        pixel_mean = source.mean(list(range(2, x.dim())), keepdim=True)  # (B, C, 1, …)
        channel_mean = source.mean(1, keepdim=True)  # (B, 1, *pixels)
        c = twice_elementwise(over_pixels(channel_kernel, x), pixel_mean)
        m = twice_elementwise(spatial_kernel, channel_mean)
        gate = torch.sigmoid(m.movedim(1, -1) * c.movedim(1, -1)).movedim(-1, 1)  # made channels-last, as x is
        return x * gate.to(x.dtype)

    def forward_ref(self, source: Tensor, x: Tensor) -> Tensor:
        s, t = source.mean(pixel_axes(source), keepdim=True), source.mean(1, keepdim=True)
        c = over_pixels(generate_kernel_ref(self.channel_slow), x) * s * s
        m = generate_kernel_ref(self.spatial_slow) * t * t
        return x * torch.sigmoid(m * c)


class LocalBranch(nn.Module):
    """GELU(BS(mixer(kernel ⊛ Y))) + one scalar, the kernel made by `slow`. (B, C, *pixels) → same."""

    def __init__(self, site: Site, slow: LocalSlowNetwork | FreeLocalKernel) -> None:
        super().__init__()
        channels, axes = site.channels, len(site.pixels)
        self.slow = slow
        self.mixer = Mixer(channels, channels, axes, init=Init.kaiming_normal, generator=site.generator)
        self.standardise = BatchStandardise()
        self.bias = nn.Parameter(torch.zeros(1)) if site.config.learn_scalars else None

    def forward(self, y: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (C, 1, *grid)."""
        convolved = self.convolve(y, kernel)
        return convolved if self.bias is None else convolved + self.bias.to(convolved.dtype)

    def convolve(self, y: Tensor, kernel: Tensor) -> Tensor:
        """The branch without its scalar."""
        return F.gelu(self.standardise(self.mixer(depthwise_convolution(kernel, y))))

    def forward_ref(self, y: Tensor, context: Tensor) -> Tensor:
        assert isinstance(self.slow, LocalSlowNetwork)
        mixed = mix_ref(self.mixer, depthwise_convolution_ref(local_kernel_ref(self.slow, context), y))
        value = F.gelu(standardise_ref(mixed, [0, *pixel_axes(mixed)]))
        return value if self.bias is None else value + self.bias


class LocalBranches(nn.Module):
    """A block's local branches, each wired from a context to the features that its kernel convolves."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        config, recipe = site.config, site.recipe(site.config.local_hidden, site.config.local_layers)
        self.all: list[LocalBranch] = []
        for i, (size, _) in enumerate(config.local_branches()):
            grid = (size,) * len(site.pixels)
            self.all.append(LocalBranch(site, build_local_slow_network(grid, site.channels, recipe, config)))
            self.add_module(str(i), self.all[-1])
        self.ends = [wiring.ends for _, wiring in config.local_branches()]
        self.kernels = LocalKernels([branch.slow for branch in self.all], site.pixels)
        read = sorted({context for context, _ in self.ends}) if config.local_context else []
        self.context_mean = nn.ModuleDict({source: ContextMean() for source in read})

    def forward(self, sources: dict[str, Tensor], first: FirstLayer | None) -> list[Tensor]:
        """`sources`: those of z, m and hc that the wirings name. Returns each branch's value."""
        means = {name: mean(sources[name]) for name, mean in self.context_mean.items()}
        # the kernels are few and multiply everything: float32 at least, whatever autocast would have
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            contexts = torch.cat([means[context] for context, _ in self.ends]) if means else None  # (n, pixels, C)
            kernels = self.kernels(first, contexts)
        together = zip(self.all, self.ends, kernels, strict=True)
        return [branch(sources[convolved], kernel) for branch, (_, convolved), kernel in together]

    def forward_ref(self, sources: dict[str, Tensor]) -> list[Tensor]:
        together = zip(self.all, self.ends, strict=True)
        return [branch.forward_ref(sources[convolved], sources[context]) for branch, (context, convolved) in together]


@dataclass
class Features:
    """What a block has computed so far: its input `z` and values by name, (B, C, *pixels) each; besides, the outputs of
    earlier blocks and the block's kernels."""

    values: dict[str, Tensor]
    previous: Sequence[Tensor]
    kernels: HyperKernels

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]


@dataclass(frozen=True)
class Branch:
    """A value that a block computes: a row of §6, or an intermediate feature that such rows read.

    It is built and computed where its switch in `Branches`, of the same name, is on, or where a branch that is on needs
    it. With a switch and `slots` it feeds the bottleneck.
    """

    name: str
    forward: Callable[[Any, Features], Any]  # of the block, by whose names it has its modules; a tensor, or several
    needs: tuple[str, ...] | Callable[[TerminatorConfig], set[str]] = ()  # the values that it reads
    slots: tuple[int, ...] = ()  # its places among the bottleneck's inputs; further values share the last
    build: Callable[[Site], dict[str, nn.Module]] = lambda site: {}  # its modules, by their names in the block
    drawn: int = 100  # its place in the order in which weights are drawn
    count: Callable[[TerminatorConfig, int], int] | None = None  # of several values, given how many earlier blocks

    def values(self, config: TerminatorConfig, previous: int) -> list[str]:
        """The names of its values."""
        return [self.name] if self.count is None else [f"{self.name}.{i}" for i in range(self.count(config, previous))]

    def needed(self, config: TerminatorConfig) -> Collection[str]:
        """The names of the values that it reads."""
        return self.needs(config) if callable(self.needs) else self.needs

    def is_on(self, config: TerminatorConfig, previous: int) -> bool:
        """Whether it feeds the bottleneck."""
        return bool(getattr(config.branches, self.name, False) and self.values(config, previous))


def _mixed(site: Site) -> dict[str, nn.Module]:
    channels, axes = site.channels, len(site.pixels)
    return {"channel_mixer": Mixer(channels, channels, axes, init=Init.kaiming_normal, generator=site.generator)}


def _channel(site: Site) -> dict[str, nn.Module]:
    recipe = site.recipe(site.config.channel_hidden, site.config.channel_layers)
    return {"hyper_channel_interaction": HyperChannelInteraction(site.channels, recipe)}


def _global_kernel(site: Site) -> dict[str, nn.Module]:
    recipe = site.recipe(site.config.global_hidden, site.global_layers)
    return {"global_slow": build_slow_network(site.pixels, site.channels, recipe)}


def _hyper_kernel(block: Any, x: Features) -> Tensor:
    kernel = x["global_kernel"].to(x["z"].dtype)
    return multiply_samples(x["z"], kernel) if block.config.global_context else kernel


def _interaction(site: Site) -> dict[str, nn.Module]:
    config = site.config
    hidden = (config.interaction_channel_hidden, config.interaction_spatial_hidden)
    recipes = [site.recipe(each, config.interaction_layers) for each in hidden]
    return {"hyper_interaction": HyperInteraction(site.channels, site.pixels, *recipes)}


def _interact(block: Any, x: Features) -> Tensor:
    kernels = (x.kernels.named[f"hyper_interaction.{name}_slow"] for name in ("channel", "spatial"))
    y: Tensor = block.hyper_interaction(x["global_gated"], x["z"], *kernels)
    return y


# In the order in which a block computes them, which decides the order in which gradients are added up.
BRANCHES = [
    Branch(
        "previous",
        lambda block, x: [tile_channels(earlier, x["z"].shape[1]) for earlier in x.previous],
        slots=(2, 10),
        count=lambda config, previous: previous,
    ),
    Branch("m", lambda block, x: instance_standardise(block.channel_mixer(x["z"])), build=_mixed, drawn=3),
    Branch(
        "hc",
        lambda block, x: instance_standardise(
            block.hyper_channel_interaction(x["z"], x.kernels.named["hyper_channel_interaction.slow"])
        ),
        build=_channel,
        drawn=4,
    ),
    Branch("global_kernel", lambda block, x: x.kernels.named["global_slow"], build=_global_kernel, drawn=0),  # K_g
    Branch("hyper_kernel", _hyper_kernel, needs=("global_kernel",)),  # K̂
    Branch(
        "gated",  # F
        lambda block, x: instance_standardise(block.rgu_slow(x["hyper_kernel"]) + block.rgu_fast(x["z"])),
        needs=("hyper_kernel",),
        slots=(3,),
        build=lambda site: {"rgu_slow": build_gate(site), "rgu_fast": build_gate(site)},
        drawn=1,
    ),
    # K̂ as ⊗ wants it, prepared once for all that it multiplies
    Branch("factor", lambda block, x: block.product.prepare(x["hyper_kernel"]), needs=("hyper_kernel",)),
    Branch(
        "global_gated",  # O
        lambda block, x: block.product.multiply(x["factor"], x["gated"]),
        needs=("factor", "gated"),
        slots=(0,),
    ),
    Branch(
        "global_mixed",
        lambda block, x: block.product.multiply(x["factor"], x["m"]),
        needs=("factor", "m"),
        slots=(4,),
    ),
    Branch(
        "global_channel",
        lambda block, x: block.product.multiply(x["factor"], x["hc"]),
        needs=("factor", "hc"),
        slots=(8,),
    ),
    Branch(
        "si_glu",
        lambda block, x: block.self_gate(x["global_gated"]),
        needs=("global_gated",),
        slots=(6,),
        build=lambda site: {"self_gate": build_self_gate(site)},
        drawn=5,
    ),
    Branch("interaction", _interact, needs=("global_gated",), slots=(11,), build=_interaction, drawn=7),
    Branch(
        "local",
        lambda block, x: block.local(x.values, x.kernels.local),
        needs=lambda config: {end for _, wiring in config.local_branches() for end in wiring.ends} - {"z"},
        slots=(5, 1, 7, 9),
        build=lambda site: {"local": LocalBranches(site)},
        drawn=6,
        count=lambda config, previous: len(config.local_branches()),
    ),
]


def computed_branches(config: TerminatorConfig, previous: int) -> list[Branch]:
    """Those that are on, and what they need, in the order of BRANCHES."""
    named = {branch.name: branch for branch in BRANCHES}
    wanted = [branch.name for branch in BRANCHES if branch.is_on(config, previous)]
    for name in wanted:  # which grows meanwhile
        wanted += named[name].needed(config)
    return [branch for branch in BRANCHES if branch.name in wanted]


def bottleneck_order(config: TerminatorConfig, previous: int) -> list[str]:
    """The values that a block's bottleneck reads, in the order in which the release concatenates them (§6)."""
    places = [
        (branch.slots[min(i, len(branch.slots) - 1)], i, name)
        for branch in BRANCHES
        if branch.is_on(config, previous)
        for i, name in enumerate(branch.values(config, previous))
    ]
    return [name for *_, name in sorted(places)]
