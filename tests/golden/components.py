"""What each golden file holds our model to: parameters and inputs → outputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from terminator.model.branches import (
    HyperChannelInteraction,
    HyperInteraction,
    LocalBranch,
    RecursiveGatedUnit,
    Site,
)
from terminator.model.build import build
from terminator.model.config import SlowNetworkKind, TerminatorConfig
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
from terminator.training.slow_loss import channel_sum_loss, tile_loss
from terminator.training.step import label_smoothed_cross_entropy
from tests.golden.golden_file import GoldenFile
from tests.golden.sizes import SlowSizes, block_sizes, network_config, slow_sizes, under

Outputs = dict[str, Tensor]
Component = tuple[nn.Module, Callable[[Outputs], Outputs]]  # a module, and what it makes of a file's inputs

GENERATOR = torch.Generator()


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
    kernels = LocalKernels([slow], file.inputs["x"].shape[2:]).double()

    def run(inputs: Outputs) -> Outputs:
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

    def run(inputs: Outputs) -> Outputs:
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

    def run(inputs: Outputs) -> Outputs:
        y, kernel = block(inputs["x"], [], *generate_hyper_kernels([block.slow_networks]))
        return {"y": y, "global_kernel": kernel}

    return block, run


def network_release(file: GoldenFile) -> Component:
    network = release_network(file, tuple(file.inputs["image"].shape[1:]))

    def run(inputs: Outputs) -> Outputs:
        logits, kernels = network(inputs["image"])
        return {"logits": logits, "slow_loss": channel_sum_loss(kernels)}

    return network, run


def release_network(file: GoldenFile, image_shape: tuple[int, ...]) -> nn.Module:
    """A network of the file's sizes, its weights still random."""
    config = network_config(file.parameters, image_shape[0])
    classes = file.parameters["head.bias"].shape[0]
    return build(config, image_shape=image_shape, classes=classes, generator=GENERATOR)


def slow_loss(file: GoldenFile) -> Component:
    def run(inputs: Outputs) -> Outputs:
        kernels = [inputs[f"kernel.{i}"] for i in range(len(inputs))]
        return {"channel_sum": channel_sum_loss(kernels), "tile": tile_loss(kernels)}

    return nn.Identity(), run


def label_smoothing(file: GoldenFile) -> Component:
    def run(inputs: Outputs) -> Outputs:
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
