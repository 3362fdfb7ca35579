"""The SFNE block: slow-fast neural encoding (spec §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.channels import concatenate, multiply_samples, tile_channels
from terminator.model.config import TerminatorConfig
from terminator.model.gating import build_gate, build_self_gate
from terminator.model.hyper_kernels import HyperKernels, generate_hyper_kernels
from terminator.model.hyperzzw import choose_product
from terminator.model.interaction import HyperChannelInteraction, HyperInteraction
from terminator.model.local_branch import LocalBranches
from terminator.model.mixer import Init, Mixer
from terminator.model.slow_network import FreeKernel, SlowNetwork, SlowRecipe, build_slow_network
from terminator.model.standardisation import build_standardisation, instance_standardise
from terminator.model.wiring import block_needs, bottleneck_order


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
