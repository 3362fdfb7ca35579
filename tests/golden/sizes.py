"""The sizes of networks and their parts, read from the names and shapes of their parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from terminator.model.config import Branches, TerminatorConfig

Parameters = dict[str, Tensor]


def under(parameters: Parameters, prefix: str) -> Parameters:
    """The parameters of one submodule, by their names inside it."""
    return {name[len(prefix) :]: tensor for name, tensor in parameters.items() if name.startswith(prefix)}


def count(parameters: Parameters, name: str) -> int:
    """How many modules the list `name` has."""
    return len({key.split(".")[1] for key in parameters if key.startswith(f"{name}.")})


class SlowSizes(NamedTuple):
    """A slow network's."""

    grid: tuple[int, ...]
    out: int
    hidden: int
    layers: int


def slow_sizes(slow: Parameters) -> SlowSizes:
    """Raises KeyError where `slow` is no slow network's."""
    out, hidden = slow["output.weight"].shape[:2]
    return SlowSizes(tuple(slow["position_bias"].shape[2:]), out, hidden, count(slow, "linears"))


class BlockSizes(NamedTuple):
    """A block's: the configuration of its parts, and what it takes from its place in the network."""

    config: TerminatorConfig
    channels: int
    out: int
    previous: int
    global_layers: int


def block_sizes(block: Parameters, channels: int) -> BlockSizes:
    """A block of the release on `channels` channels, whatever branches it has."""
    settings: dict[str, Any] = {"dropout": [0.0]}
    global_slow = under(block, "global_slow.")
    if global_slow:
        settings["global_hidden"] = slow_sizes(global_slow).hidden
    channel = under(block, "hyper_channel_interaction.slow.")
    if channel:
        settings.update(channel_hidden=slow_sizes(channel).hidden, channel_layers=slow_sizes(channel).layers)
    spatial = under(block, "hyper_interaction.spatial_slow.")
    if spatial:
        settings.update(
            interaction_channel_hidden=slow_sizes(under(block, "hyper_interaction.channel_slow.")).hidden,
            interaction_spatial_hidden=slow_sizes(spatial).hidden,
            interaction_layers=slow_sizes(spatial).layers,
        )
    locals_ = [slow_sizes(under(block, f"local.{i}.slow.")) for i in range(count(block, "local"))]
    if locals_:
        settings.update(
            local_kernels=[sizes.grid[0] for sizes in locals_],
            local_hidden=locals_[0].hidden,
            local_layers=locals_[0].layers,
        )
    gated = bool(under(block, "rgu_fast."))
    settings["branches"] = Branches(
        gated=gated,
        si_glu=gated,
        global_gated=gated,
        global_mixed="channel_mixer.weight" in block,
        global_channel=bool(channel),
        local=bool(locals_),
        interaction=bool(spatial),
    )
    branches = 3 * gated + ("channel_mixer.weight" in block) + bool(channel) + len(locals_) + bool(spatial)
    out, inputs = block["bottleneck.weight"].shape[:2]
    layers = slow_sizes(global_slow).layers if global_slow else 1
    return BlockSizes(TerminatorConfig(**settings), channels, out, inputs // channels - branches, layers)


def network_config(parameters: Parameters, image_channels: int) -> TerminatorConfig:
    """A network of the release. Block i reads block i − 2 where it reads one earlier block, and i − 3 as the second."""
    blocks = []
    channels = image_channels
    for i in range(count(parameters, "blocks")):
        blocks.append(block_sizes(under(parameters, f"blocks.{i}."), channels))
        channels = blocks[-1].out
    return replace(
        blocks[0].config,
        depth=len(blocks),
        channels=[block.out for block in blocks],
        global_layers=[block.global_layers for block in blocks],
        previous_blocks=[[i - 2 - j for j in range(block.previous)] for i, block in enumerate(blocks)],
    )
