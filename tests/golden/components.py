"""What a golden file holds, the sizes that it is of, and our part of those sizes: parameters and inputs to outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from torch import Tensor, nn

from terminator.model.branches import (
    HyperChannelInteraction,
    HyperInteraction,
    LocalBranch,
    RecursiveGatedUnit,
    Site,
)
from terminator.model.build import build
from terminator.model.config import Branches, SlowNetworkKind, TerminatorConfig
from terminator.model.kernels import (
    FreeLocalKernel,
    LocalKernels,
    LocalSlowNetwork,
    SlowNetwork,
    SlowRecipe,
    first_layers,
    generate_hyper_kernels,
    generate_kernels,
)
from terminator.model.networks.terminator import SFNEBlock
from terminator.model.normalisation import ContextMean, GroupedStandardise
from terminator.training.step import channel_sum_loss, label_smoothed_cross_entropy, tile_loss

Tensors = dict[str, Tensor]
Component = tuple[nn.Module, Callable[[Tensors], Tensors]]  # a module, and what it makes of a file's inputs

GENERATOR = torch.Generator()


@dataclass(frozen=True)
class GoldenFile:
    """Tensors by the name behind `in.`, `param.`, …; `gradients` keep their `in.` or `param.`."""

    inputs: Tensors
    parameters: Tensors
    outputs: Tensors
    probes: Tensors
    gradients: Tensors
    metadata: dict[str, str]
    device: str = "cpu"  # of all of them

    def load_into(self, module: nn.Module) -> None:
        """Give `module` this file's parameters. Raises RuntimeError where a name or a shape differs."""
        module.to(self.device, torch.float64).load_state_dict(self.parameters)


def read_golden_file(path: Path, device: str) -> GoldenFile:
    """Raises safetensors' or the system's error where `path` cannot be read."""
    with safe_open(path, framework="pt", device=device) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        roles = [under(tensors, f"{role}.") for role in ("in", "param", "out", "probe", "grad")]
        return GoldenFile(*roles, metadata=file.metadata() or {}, device=device)


def under(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def count(parameters: Tensors, name: str) -> int:
    """How many modules the list `name` has."""
    return len({key.split(".")[1] for key in parameters if key.startswith(f"{name}.")})


class SlowSizes(NamedTuple):
    """A slow network's, read from the names and shapes of its parameters."""

    grid: tuple[int, ...]
    out: int
    hidden: int
    layers: int


def slow_sizes(slow: Tensors) -> SlowSizes:
    """Raises KeyError where `slow` is no slow network's."""
    out, hidden = slow["output.weight"].shape[:2]
    return SlowSizes(tuple(slow["position_bias"].shape[2:]), out, hidden, count(slow, "linears"))


class BlockSizes(NamedTuple):
    """A block's: the configuration of its parts, and what it takes from its place in the network."""

    config: TerminatorConfig
    out: int
    previous: int
    global_layers: int


def block_sizes(block: Tensors, channels: int) -> BlockSizes:
    """A block of the release on `channels` channels, whatever branches it has."""
    prefixes = {
        "global": "global_slow.",
        "channel": "hyper_channel_interaction.slow.",
        "interaction_channel": "hyper_interaction.channel_slow.",
        "interaction_spatial": "hyper_interaction.spatial_slow.",
        "local": "local.0.slow.",
    }
    slow = {name: slow_sizes(under(block, prefix)) for name, prefix in prefixes.items() if under(block, prefix)}
    settings: dict[str, Any] = {f"{name}_hidden": sizes.hidden for name, sizes in slow.items()}
    layers = {name.removesuffix("_spatial"): sizes.layers for name, sizes in slow.items()}
    settings |= {f"{name}_layers": layers[name] for name in ("channel", "interaction", "local") if name in layers}
    kernels = [slow_sizes(under(block, f"local.{i}.slow.")).grid[0] for i in range(count(block, "local"))]
    gated, mixed = bool(under(block, "rgu_fast.")), "channel_mixer.weight" in block
    branches = Branches(gated, gated, gated, mixed, "channel" in slow, bool(kernels), "interaction_spatial" in slow)
    config = TerminatorConfig(**settings, local_kernels=kernels, branches=branches, dropout=[0.0])
    out, inputs = block["bottleneck.weight"].shape[:2]
    others = 3 * gated + mixed + branches.global_channel + len(kernels) + branches.interaction
    return BlockSizes(config, out, inputs // channels - others, layers.get("global", 1))


def network_config(parameters: Tensors, image_channels: int) -> TerminatorConfig:
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


def recipe(sizes: SlowSizes) -> SlowRecipe:
    """Weights come from the files."""
    return SlowRecipe(SlowNetworkKind.sine_mfn, 2000.0, sizes.hidden, sizes.layers, GENERATOR)


def slow_kernel(file: GoldenFile) -> Component:
    """slow_global and slow_channel."""
    sizes = slow_sizes(file.parameters)
    slow = SlowNetwork(sizes.grid, sizes.out, recipe(sizes))
    return slow, lambda inputs: {"kernel": generate_kernels([slow])[0]}


def slow_local(file: GoldenFile) -> Component:
    sizes = slow_sizes(file.parameters)
    slow = LocalSlowNetwork(sizes.grid, sizes.out, recipe(sizes), has_context=True, learn_renormalisation=False)
    kernels = LocalKernels([slow], file.inputs["x"].shape[2:]).to(file.device, torch.float64)

    def run(inputs: Tensors) -> Tensors:
        context = ContextMean()(inputs["x"])
        return {"kernel": kernels(*first_layers([kernels]), context)[0]}

    return slow, run


def rgu(file: GoldenFile) -> Component:
    _, channels, *pixels = file.inputs["x"].shape
    unit = RecursiveGatedUnit(channels, pixels, generator=GENERATOR)
    return unit, lambda inputs: {"y": unit(inputs["x"])}


def gibs(file: GoldenFile) -> Component:
    standardise = GroupedStandardise(file.inputs["x"].shape[1])
    return standardise, lambda inputs: {"y": standardise(inputs["x"])}


def hyper_channel_interaction(file: GoldenFile) -> Component:
    sizes = slow_sizes(under(file.parameters, "slow."))
    interaction = HyperChannelInteraction(sizes.grid[0], recipe(sizes))
    return interaction, lambda inputs: {"y": interaction(inputs["x"], *generate_kernels([interaction.slow]))}


def hyper_interaction(file: GoldenFile) -> Component:
    channel = slow_sizes(under(file.parameters, "channel_slow."))
    spatial = slow_sizes(under(file.parameters, "spatial_slow."))
    interaction = HyperInteraction(channel.grid[0], spatial.grid, recipe(channel), recipe(spatial))

    def run(inputs: Tensors) -> Tensors:
        kernels = generate_kernels([interaction.channel_slow, interaction.spatial_slow])
        return {"y": interaction(inputs["score_source"], inputs["x"], *kernels)}

    return interaction, run


def local_conv(file: GoldenFile) -> Component:
    channels, _, *grid = file.inputs["kernel"].shape
    unused = FreeLocalKernel(grid, channels, recipe(SlowSizes((), 1, 1, 1)), has_context=False)
    branch = LocalBranch(Site(TerminatorConfig(), channels, grid, 1, 0, GENERATOR), unused)
    part = nn.ModuleDict({"mixer": branch.mixer})  # the file's kernel stands in for the slow network's
    return part, lambda inputs: {"y": branch.convolve(inputs["x"], inputs["kernel"])}


def sfne_block(file: GoldenFile) -> Component:
    _, channels, *pixels = file.inputs["x"].shape
    sizes = block_sizes(file.parameters, channels)
    site = Site(sizes.config, channels, pixels, sizes.global_layers, sizes.previous, GENERATOR)
    block = SFNEBlock(site, out=sizes.out, dropout=0.0)

    def run(inputs: Tensors) -> Tensors:
        y, kernel = block(inputs["x"], [], *generate_hyper_kernels([block.slow_networks]))
        return {"y": y, "global_kernel": kernel}

    return block, run


def network_release(file: GoldenFile) -> Component:
    network = release_network(file, tuple(file.inputs["image"].shape[1:]))

    def run(inputs: Tensors) -> Tensors:
        logits, kernels = network(inputs["image"])
        return {"logits": logits, "slow_loss": channel_sum_loss(kernels)}

    return network, run


def release_network(file: GoldenFile, image_shape: tuple[int, ...]) -> nn.Module:
    """A network of the file's sizes, its weights still random."""
    config = network_config(file.parameters, image_shape[0])
    classes = file.parameters["head.bias"].shape[0]
    return build(config, image_shape=image_shape, classes=classes, generator=GENERATOR)


def slow_loss(file: GoldenFile) -> Component:
    def run(inputs: Tensors) -> Tensors:
        kernels = [inputs[f"kernel.{i}"] for i in range(len(inputs))]
        return {"channel_sum": channel_sum_loss(kernels), "tile": tile_loss(kernels)}

    return nn.Identity(), run


def label_smoothing(file: GoldenFile) -> Component:
    def run(inputs: Tensors) -> Tensors:
        return {
            name: label_smoothed_cross_entropy(inputs["logits"], inputs["target"], float(name.removeprefix("eps_")))
            for name in file.outputs
        }

    return nn.Identity(), run


COMPONENTS: dict[str, Callable[[GoldenFile], Component]] = {
    "slow_global": slow_kernel,
    "slow_channel": slow_kernel,
    "slow_local": slow_local,
    "rgu": rgu,
    "gibs": gibs,
    "hyper_channel_interaction": hyper_channel_interaction,
    "hyper_interaction": hyper_interaction,
    "local_conv": local_conv,
    "sfne_block": sfne_block,
    "network_release": network_release,
    "slow_loss": slow_loss,
    "label_smoothing": label_smoothing,
}
