"""What a block has to compute for the branches that are on (spec §6)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.branches import (
    HyperChannelInteraction,
    HyperInteraction,
    LocalBranches,
    build_gate,
    build_self_gate,
)
from terminator.model.config import TerminatorConfig, Wiring
from terminator.model.kernels import (
    FirstLayer,
    FreeKernel,
    SlowNetwork,
    SlowRecipe,
    build_slow_network,
    generate_kernels,
)
from terminator.model.mixer import Init, Mixer
from terminator.model.normalisation import build_standardisation, instance_standardise
from terminator.model.ops import channels_last, choose_product, concatenate, multiply_samples, pixel_mean, tile_channels

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Needs:
    """The intermediate features that some branch reads; the others are neither built nor computed."""

    product: bool  # O
    gate: bool  # F
    mixed: bool  # M
    channel: bool  # Hc
    kernel: bool  # K̂, and with it K_g


def block_needs(config: TerminatorConfig) -> Needs:
    """What the branches of `config` read."""
    on = config.branches
    wirings = {wiring for _, wiring in config.local_branches()}
    product = on.global_gated or on.si_glu or on.interaction
    gate = product or on.gated
    return Needs(
        product=product,
        gate=gate,
        mixed=on.global_mixed or not wirings.isdisjoint({Wiring.m_to_z, Wiring.z_to_m}),
        channel=on.global_channel or not wirings.isdisjoint({Wiring.z_to_hc, Wiring.hc_to_z}),
        kernel=gate or on.global_mixed or on.global_channel,
    )


def bottleneck_order(config: TerminatorConfig, previous: int) -> list[str]:
    """The branches in the order in which the release concatenates them (spec §6), those that are on.

    Local branches 0 to 3 and the first two previous blocks stand where the release has them; any further ones follow
    the last of their kind.
    """
    on, locals_ = config.branches, len(config.local_branches())
    slots = [
        ("global_gated", on.global_gated),
        ("local.1", locals_ > 1),
        ("previous.0", previous > 0),
        ("gated", on.gated),
        ("global_mixed", on.global_mixed),
        ("local.0", locals_ > 0),
        ("si_glu", on.si_glu),
        ("local.2", locals_ > 2),
        ("global_channel", on.global_channel),
        *((f"local.{i}", True) for i in range(3, locals_)),
        *((f"previous.{i}", True) for i in range(1, previous)),
        ("interaction", on.interaction),
    ]
    return [name for name, is_on in slots if is_on]


class BlockOutput(NamedTuple):
    """A block's features (B, out, *pixels), and K_g (1, C, *pixels) where a branch needed it."""

    features: Tensor
    kernel: Tensor | None


class SFNEBlock(nn.Module):
    """One block: branches on the input Z → bottleneck → standardisation → GELU → + scalar → channel dropout (spec §6).

    A branch that is off costs nothing: what only it reads is neither built nor computed.
    """

    def __init__(
        self,
        config: TerminatorConfig,
        *,
        channels: int,
        out: int,
        pixels: Sequence[int],
        previous: int,
        global_layers: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        axes = len(pixels)
        recipe = SlowRecipe(config.slow_network, config.omega_0, generator)
        self.needs = block_needs(config)
        self.order = bottleneck_order(config, previous)
        self.has_global_context = config.global_context
        self.has_residual = config.residual
        self.product = choose_product(config.product, pixels)
        if self.needs.kernel:
            self.global_slow = build_slow_network(
                pixels, channels, hidden=config.global_hidden, layers=global_layers, recipe=recipe
            )
        if self.needs.gate:
            self.rgu_slow = build_gate(config.gate, channels, pixels, generator=generator)
            self.rgu_fast = build_gate(config.gate, channels, pixels, generator=generator)
        if self.needs.mixed:
            self.channel_mixer = Mixer(channels, channels, axes, init=Init.kaiming_normal, generator=generator)
        if self.needs.channel:
            self.hyper_channel_interaction = HyperChannelInteraction(
                channels, hidden=config.channel_hidden, layers=config.channel_layers, recipe=recipe
            )
        if config.branches.si_glu:
            self.self_gate = build_self_gate(config.self_gate, channels, axes, generator=generator)
        self.local = LocalBranches(config, channels, pixels, recipe) if config.local_branches() else None
        if config.branches.interaction:
            self.hyper_interaction = HyperInteraction(
                channels,
                pixels,
                channel_hidden=config.interaction_channel_hidden,
                spatial_hidden=config.interaction_spatial_hidden,
                layers=config.interaction_layers,
                recipe=recipe,
            )
        inputs = channels * max(len(self.order), 1)
        self.bottleneck = Mixer(inputs, out, axes, init=Init.kaiming_normal, generator=generator)
        self.standardise = build_standardisation(config.standardisation, out)
        self.bias = nn.Parameter(torch.zeros(1)) if config.learn_scalars else None
        self.dropout = nn.Dropout1d(dropout) if axes == 1 else nn.Dropout2d(dropout)

    def forward(self, z: Tensor, previous: Sequence[Tensor] = (), kernels: HyperKernels | None = None) -> BlockOutput:
        """`z`: (B, C, *pixels). `previous`: outputs of earlier blocks, same pixels. `kernels`: this block's, where they
        were generated together with others'."""
        kernels = kernels or generate_hyper_kernels([self])[0]
        features = self.branches(z, previous, kernels)
        inputs = concatenate([features[name] for name in self.order]) if self.order else z
        y = F.gelu(self.standardise(self.bottleneck(inputs)))
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)  # a float32 parameter would end autocast's bfloat16 here
        y = self.dropout(y)
        if self.has_residual:
            y = y + tile_channels(z, y.shape[1])
        return BlockOutput(y, kernels.global_kernel)

    def branches(self, z: Tensor, previous: Sequence[Tensor], kernels: HyperKernels) -> dict[str, Tensor]:
        """The value of every branch that is on, by its name in `order`; each (B, C, *pixels)."""
        features = {f"previous.{i}": tile_channels(earlier, z.shape[1]) for i, earlier in enumerate(previous)}
        sources = {"z": z}  # what local branches read
        if self.needs.mixed:
            sources["m"] = instance_standardise(self.channel_mixer(z))
        if kernels.channel is not None:
            sources["hc"] = instance_standardise(self.hyper_channel_interaction(z, kernels.channel))
        if kernels.global_kernel is not None:
            kernel = kernels.global_kernel.to(z.dtype)
            hyper = multiply_samples(z, kernel) if self.has_global_context else kernel  # K̂
            if self.needs.gate:
                features["gated"] = instance_standardise(self.rgu_slow(hyper) + self.rgu_fast(z))  # F
            features |= self._multiply(hyper, features.get("gated"), sources)
        if "si_glu" in self.order:
            features["si_glu"] = self.self_gate(features["global_gated"])
        if kernels.interaction_channel is not None:
            features["interaction"] = self.hyper_interaction(
                features["global_gated"], z, kernels.interaction_channel, kernels.interaction_spatial
            )
        if self.local is not None:
            features |= {f"local.{i}": y for i, y in enumerate(self.local(sources, kernels.local))}
        return features

    def slow_networks(self) -> dict[str, SlowNetwork | FreeKernel]:
        """The networks of coordinates alone, by the names that HyperKernels has for their kernels."""
        networks: dict[str, SlowNetwork | FreeKernel] = {}
        if self.needs.kernel:
            networks["global_kernel"] = self.global_slow
        if self.needs.channel:
            networks["channel"] = self.hyper_channel_interaction.slow
        if "interaction" in self.order:
            networks["interaction_channel"] = self.hyper_interaction.channel_slow
            networks["interaction_spatial"] = self.hyper_interaction.spatial_slow
        return networks

    def slow_networks_and_gates(self) -> list[nn.Module]:
        """The parts that the penalty all but spares (spec §8)."""
        gates = [self.rgu_slow, self.rgu_fast] if self.needs.gate else []
        local = [branch.slow for branch in self.local.all] if self.local is not None else []
        return [*self.slow_networks().values(), *gates, *local]

    def _multiply(self, hyper: Tensor, gated: Tensor | None, sources: dict[str, Tensor]) -> dict[str, Tensor]:
        """K̂ ⊗ Y for each Y that some branch wants multiplied."""
        factors = {
            "global_gated": gated if self.needs.product else None,
            "global_mixed": sources["m"] if "global_mixed" in self.order else None,
            "global_channel": sources["hc"] if "global_channel" in self.order else None,
        }
        wanted = {name: y for name, y in factors.items() if y is not None}
        return dict(zip(wanted, self.product(hyper, list(wanted.values())), strict=True))


KERNELS = ("global_kernel", "channel", "interaction_channel", "interaction_spatial")


class HyperKernels(NamedTuple):
    """What a block's slow networks make of coordinates alone; None where the block has no such network.

    global_kernel: K_g, (1, C, *pixels). channel, interaction_channel: (1, 1, C). interaction_spatial: (1, 1, *pixels).
    """

    global_kernel: Tensor | None
    channel: Tensor | None
    interaction_channel: Tensor | None
    interaction_spatial: Tensor | None
    local: FirstLayer | None


def generate_hyper_kernels(blocks: Sequence[SFNEBlock]) -> list[HyperKernels]:
    """In float32 at least, whatever autocast would have: kernels are few, and everything is multiplied by them."""
    with torch.autocast(next(blocks[0].parameters()).device.type, enabled=False):
        networks = [block.slow_networks() for block in blocks]
        wanted = [(i, name) for i, of_block in enumerate(networks) for name in of_block]
        kernels = dict(zip(wanted, generate_kernels([networks[i][name] for i, name in wanted]), strict=True))
        return [
            HyperKernels(**{name: kernels.get((i, name)) for name in KERNELS}, local=local)
            for i, local in enumerate(_first_layers(blocks))
        ]


def _first_layers(blocks: Sequence[SFNEBlock]) -> Sequence[FirstLayer | None]:
    """Of the blocks' local slow networks, which are alike in all blocks."""
    local = [block.local for block in blocks if block.local is not None]
    networks = [network for branches in local for network in branches.slow_networks()]
    return local[0].kernels.first_layer(networks).split(len(blocks)) if networks else [None] * len(blocks)


SLOW_FACTOR = 1e-6  # of the mixers inside slow networks and gates


class Penalty:
    """Σ ‖p‖₂ over block parameters outside slow networks and gates (RGUs, and what takes their place) + 1e-6 · Σ ‖w‖₂
    over the mixer weights inside them that have the pixels' axes. The head has none."""

    def __init__(self, blocks: Sequence[SFNEBlock], axes: int) -> None:
        self.parameters: list[Tensor] = []
        factors: list[float] = []
        for block in blocks:
            units = block.slow_networks_and_gates()
            inside = {id(parameter) for unit in units for parameter in unit.parameters()}
            outside = [parameter for parameter in block.parameters() if id(parameter) not in inside]
            weights = [
                mixer.weight
                for unit in units
                for mixer in unit.modules()
                if isinstance(mixer, Mixer) and mixer.weight.dim() == axes + 2 and mixer.weight.requires_grad
            ]
            self.parameters += outside + weights
            factors += [1.0] * len(outside) + [SLOW_FACTOR] * len(weights)
        self.factors = torch.tensor(factors)

    def __call__(self) -> Tensor:
        total: Tensor = _WeightedNorms.apply(self.factors, *self.parameters)  # type: ignore[no-untyped-call]
        return total


class _WeightedNorms(torch.autograd.Function):
    """Σ factor · ‖p‖₂, in one node of the graph instead of several for each parameter."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor, *parameters: Tensor) -> Tensor:
        norms = torch.stack(torch._foreach_norm(parameters))
        factors = factors.to(norms)
        ctx.save_for_backward(factors / norms.clamp(min=torch.finfo(norms.dtype).tiny), *parameters)
        return factors @ norms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scales, *parameters = ctx.saved_tensors
        return (None, *torch._foreach_mul(parameters, list((scales * gradients[0]).unbind())))


class Output(NamedTuple):
    """logits (B, classes); kernels: K_g of each block that has one, (1, C_i, *pixels)."""

    logits: Tensor
    kernels: tuple[Tensor, ...]


class Terminator(nn.Module):
    """Images (B, C, *pixels) → Output."""

    def __init__(
        self, config: TerminatorConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        image_channels, *pixels = image_shape
        _warn_of_wide_kernels(config, pixels)
        outs = config.block_channels()
        self.previous = [config.block_previous(block) for block in range(config.depth)]
        self._blocks = [
            SFNEBlock(
                config,
                channels=channels,
                out=out,
                pixels=pixels,
                previous=len(self.previous[block]),
                global_layers=config.block_global_layers(block),
                dropout=config.block_dropout(block),
                generator=generator,
            )
            for block, (channels, out) in enumerate(zip([image_channels, *outs], outs, strict=False))
        ]
        self.blocks = nn.ModuleList(self._blocks)
        self.head = nn.Linear(outs[-1], classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self._penalty = Penalty(self._blocks, axes=len(pixels))
        self._fixed_kernels: list[HyperKernels] | None = None

    def forward(self, images: Tensor) -> Output:
        hyper_kernels = self._fixed_kernels or generate_hyper_kernels(self._blocks)
        z = channels_last(images)
        outputs: list[Tensor] = []
        for block, sources, kernels in zip(self.blocks, self.previous, hyper_kernels, strict=True):
            z, _ = block(z, [outputs[source] for source in sources], kernels)
            outputs.append(z)
        logits = self.head(pixel_mean(z))
        global_kernels = (kernels.global_kernel for kernels in hyper_kernels)
        return Output(logits, tuple(kernel for kernel in global_kernels if kernel is not None))

    def penalty(self) -> Tensor:
        """The norms of spec §8, without their factor l2; scalar."""
        return self._penalty()

    @contextmanager
    def fixed_kernels(self) -> Iterator[None]:
        """Inside, parameters must not change: what depends on them and coordinates alone is generated once."""
        with torch.no_grad():
            self._fixed_kernels = generate_hyper_kernels(self._blocks)
        try:
            yield
        finally:
            self._fixed_kernels = None


def _warn_of_wide_kernels(config: TerminatorConfig, pixels: Sequence[int]) -> None:
    """A kernel of 2N − 1 sees all of N pixels from each of them."""
    reach = 2 * min(pixels) - 1
    wide = [size for size, _ in config.local_branches() if size > reach]
    if wide:
        size = "×".join(str(side) for side in pixels)
        message = f"model.local_kernels={config.local_kernels}: on {size} pixels sizes beyond {reach} see nothing more"
        warnings.warn(message, stacklevel=3)
