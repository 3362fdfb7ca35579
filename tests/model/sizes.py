"""Parameter counts by formula, from the specification rather than from the code."""

from __future__ import annotations

from math import prod

from terminator.model.config import (
    Gate,
    SelfGate,
    SlowNetworkKind,
    Standardisation,
    TerminatorConfig,
    Wiring,
)


def parameter_count(config: TerminatorConfig, image_shape: tuple[int, ...], classes: int) -> int:
    """Of a whole network: §1–7."""
    channels, *pixels = image_shape
    outs = config.block_channels()
    total = mixer(outs[-1], classes)
    for block, out in enumerate(outs):
        total += block_count(config, block, channels, out, pixels)
        channels = out
    return total


def block_count(config: TerminatorConfig, block: int, channels: int, out: int, pixels: list[int]) -> int:
    on, axes, kind = config.branches, len(pixels), config.slow_network
    wirings = [config.local_wiring[i % len(config.local_wiring)] for i in range(len(config.local_kernels) * on.local)]
    product = on.global_gated or on.si_glu or on.interaction
    gate = product or on.gated
    total = int(config.learn_scalars)  # the one behind the bottleneck
    if gate or on.global_mixed or on.global_channel:
        layers = config.global_layers[min(block, len(config.global_layers) - 1)]
        total += slow(kind, pixels, channels, config.global_hidden, layers)
    if gate:
        mixers = {Gate.rgu: 4, Gate.glu: 2, Gate.mixer: 1}[config.gate]
        total += 2 * (mixers * mixer(channels, channels) + prod(pixels) * (config.gate is Gate.rgu))
    if on.global_mixed or Wiring.m_to_z in wirings or Wiring.z_to_m in wirings:
        total += mixer(channels, channels)
    if on.global_channel or Wiring.z_to_hc in wirings or Wiring.hc_to_z in wirings:
        total += slow(kind, [channels], 1, config.channel_hidden, config.channel_layers)
    if on.si_glu and config.self_gate is SelfGate.glu:
        total += 2 * mixer(channels, channels)
    for size in config.local_kernels[: len(wirings)]:
        total += local(config, [size] * axes, channels) + mixer(channels, channels) + config.learn_scalars
    if on.interaction:
        total += slow(kind, [channels], 1, config.interaction_channel_hidden, config.interaction_layers)
        total += slow(kind, pixels, 1, config.interaction_spatial_hidden, config.interaction_layers)
    previous = config.previous_blocks[block] if on.previous and block < len(config.previous_blocks) else []
    flags = (on.gated, on.si_glu, on.global_gated, on.global_mixed, on.global_channel, on.interaction)
    inputs = sum(flags) + len(wirings) + len(previous)
    affine = config.standardisation in (Standardisation.batch_norm, Standardisation.group_norm)
    return total + mixer(channels * max(inputs, 1), out) + 2 * out * affine


def mixer(channels: int, out: int) -> int:
    return channels * out + out


def slow(kind: SlowNetworkKind, grid: list[int], out: int, hidden: int, layers: int) -> int:
    if kind is SlowNetworkKind.free:
        return prod(grid) * out
    filters = {
        SlowNetworkKind.sine_mfn: (layers + 1) * mixer(len(grid), hidden) + prod(grid),
        SlowNetworkKind.siren: mixer(len(grid), hidden),
        SlowNetworkKind.fourier_mlp: mixer(len(grid), hidden // 2),
    }[kind]
    return filters + layers * mixer(hidden, hidden) + mixer(hidden, out)


def local(config: TerminatorConfig, grid: list[int], channels: int) -> int:
    hidden, layers = config.local_hidden, config.local_layers
    total = slow(config.slow_network, grid, channels, hidden, layers)
    is_free = config.slow_network is SlowNetworkKind.free
    if config.local_context:
        total += mixer(channels, hidden) + mixer(hidden, hidden)
        total += mixer(hidden, channels) if is_free else layers * mixer(hidden, hidden)
    return total + 2 * layers * hidden * (config.learn_renormalisation and not is_free)
