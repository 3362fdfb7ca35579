"""The SFNE block: slow-fast neural encoding (spec §6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.channels import tile_channels
from terminator.model.config import TerminatorConfig, Wiring
from terminator.model.gating import build_gate, build_self_gate
from terminator.model.hyperzzw import choose_product
from terminator.model.interaction import HyperChannelInteraction, HyperInteraction
from terminator.model.local_branch import LocalBranch
from terminator.model.mixer import Init, Mixer
from terminator.model.slow_network import SlowRecipe, build_slow_network
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
        self.has_local_context = config.local_context
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
        self.wirings = [wiring for _, wiring in config.local_branches()]
        self.local = nn.ModuleList(
            LocalBranch(
                channels,
                (size,) * axes,
                hidden=config.local_hidden,
                layers=config.local_layers,
                has_context=config.local_context,
                learn_renormalisation=config.learn_renormalisation,
                recipe=recipe,
            )
            for size, _ in config.local_branches()
        )
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
        self.standardise = build_standardisation(config.standardisation, out, axes)
        self.bias = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout1d(dropout) if axes == 1 else nn.Dropout2d(dropout)

    def forward(self, z: Tensor, previous: Sequence[Tensor] = ()) -> BlockOutput:
        """`z`: (B, C, *pixels). `previous`: outputs of earlier blocks, same pixels."""
        kernel = self.global_slow() if self.needs.kernel else None
        features = self.branches(z, kernel, previous)
        inputs = torch.cat([features[name] for name in self.order], dim=1) if self.order else z
        y = F.gelu(self.standardise(self.bottleneck(inputs))) + self.bias
        y = self.dropout(y)
        if self.has_residual:
            y = y + tile_channels(z, y.shape[1])
        return BlockOutput(y, kernel)

    def slow_networks_and_gates(self) -> list[nn.Module]:
        """The parts that the penalty all but spares (spec §8)."""
        parts = ("global_slow", "rgu_slow", "rgu_fast", "hyper_channel_interaction", "hyper_interaction")
        units = [getattr(self, part) for part in parts if hasattr(self, part)]
        return units + [branch.slow for branch in self.local]

    def branches(self, z: Tensor, kernel: Tensor | None, previous: Sequence[Tensor]) -> dict[str, Tensor]:
        """The value of every branch that is on, by its name; each (B, C, *pixels)."""
        needs, features = self.needs, {}
        mixed = instance_standardise(self.channel_mixer(z)) if needs.mixed else z  # M
        channel = instance_standardise(self.hyper_channel_interaction(z)) if needs.channel else z  # Hc
        if kernel is not None:
            hyper = z * kernel if self.has_global_context else kernel  # K̂
            if needs.gate:
                features["gated"] = instance_standardise(self.rgu_slow(hyper) + self.rgu_fast(z))  # F
            if needs.product:
                features["global_gated"] = self.product(hyper, features["gated"])  # O
            if "global_mixed" in self.order:
                features["global_mixed"] = self.product(hyper, mixed)
            if "global_channel" in self.order:
                features["global_channel"] = self.product(hyper, channel)
        if "si_glu" in self.order:
            features["si_glu"] = self.self_gate(features["global_gated"])
        if "interaction" in self.order:
            features["interaction"] = self.hyper_interaction(features["global_gated"], z)
        for i, (branch, wiring) in enumerate(zip(self.local, self.wirings, strict=True)):
            context, convolved = _wire(wiring, z, mixed, channel)
            features[f"local.{i}"] = branch(
                convolved, context.mean(0, keepdim=True) if self.has_local_context else None
            )
        for i, earlier in enumerate(previous):
            features[f"previous.{i}"] = tile_channels(earlier, z.shape[1])
        return features


def _wire(wiring: Wiring, z: Tensor, mixed: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """A local branch's context and the features its kernel convolves."""
    return {
        Wiring.z_to_hc: (z, channel),
        Wiring.hc_to_z: (channel, z),
        Wiring.m_to_z: (mixed, z),
        Wiring.z_to_m: (z, mixed),
    }[wiring]
