"""Slow networks: kernels from coordinates (docs/architecture.md §1).

A kernel of coordinates alone, a local kernel, which sees a context too, then all kernels of a network's blocks at once.
Networks of one shape are computed together; beside each fast form stands its plain reference, `*_ref`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from terminator.model.config import SlowNetworkKind, TerminatorConfig
from terminator.model.mixer import Init, Mixer, Mixers, mix_ref, stack
from terminator.model.ops import pooling_bins


def coordinate_grid(shape: Sequence[int]) -> Tensor:
    """Coordinates evenly spaced in [-1, 1] on every axis, ends included, `ij` order; float64 (points, axes)."""
    axes = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in shape]
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], dim=1)


class SlowRecipe(NamedTuple):
    """What a slow network is made of, besides its grid and its output; `generator` draws its weights."""

    kind: SlowNetworkKind
    omega_0: float
    hidden: int
    layers: int
    generator: torch.Generator


class SlowNetwork(nn.Module):
    """The parameters of a small implicit network on a fixed grid; `generate_kernels` makes kernels of them.

    `sine_mfn`: h_0 = sin(F_0 c), h_i = sin(F_i c) ⊙ (A_i h_{i-1} + a_i) + p (MAGNet; Romero et al. 2110.08059).
    `siren`: h_0 = sin(F_0 c), h_i = sin(A_i h_{i-1} + a_i) (Sitzmann et al. 2006.09661).
    `fourier_mlp`: h_0 = [sin, cos](F_0 c) with F_0 fixed, h_i = GELU(A_i h_{i-1} + a_i) (Tancik et al. 2006.10739).
    In all of them K = A_o h_n + a_o. ω0 scales F_0 (in `sine_mfn` every F_i).
    """

    coordinate_bits: Tensor

    def __init__(self, grid: Sequence[int], out: int, recipe: SlowRecipe) -> None:
        super().__init__()
        axes, hidden, layers, generator = len(grid), recipe.hidden, recipe.layers, recipe.generator
        self.grid = tuple(grid)
        self.kind = recipe.kind
        self.hidden = hidden
        # as integers, since `.to(dtype)` and the like would round a floating buffer, and phases need float64
        self.register_buffer("coordinate_bits", coordinate_grid(grid).view(torch.int64), persistent=False)
        self.filters = Mixers(_filters(recipe, axes))
        self.linears = Mixers(
            Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
            for _ in range(layers)
        )
        self.output = Mixer(hidden, out, axes, init=Init.kaiming_uniform_linear, generator=generator)
        with torch.no_grad():
            self.output.weight.mul_(math.sqrt(1 / math.prod(grid)))  # Chang et al. 2020
        if recipe.kind is SlowNetworkKind.sine_mfn:
            self.position_bias = nn.Parameter(torch.zeros(1, 1, *grid))

    @property
    def points(self) -> int:
        """Of the grid."""
        return math.prod(self.grid)


class FreeKernel(nn.Module):
    """The kernel itself as a parameter, (1, out, *grid): no slow network at all. Starts with the MFN's spread."""

    def __init__(self, grid: Sequence[int], out: int, recipe: SlowRecipe) -> None:
        super().__init__()
        self.grid = tuple(grid)
        self.kernel = nn.Parameter(torch.empty(1, out, *grid))
        nn.init.normal_(self.kernel, std=math.sqrt(1 / math.prod(grid)), generator=recipe.generator)


def build_slow_network(grid: Sequence[int], out: int, recipe: SlowRecipe) -> SlowNetwork | FreeKernel:
    """What makes a kernel of `out` channels on `grid`."""
    return (FreeKernel if recipe.kind is SlowNetworkKind.free else SlowNetwork)(grid, out, recipe)


def _filters(recipe: SlowRecipe, axes: int) -> list[Mixer]:
    kind, omega_0, hidden, layers, generator = recipe
    if kind is SlowNetworkKind.sine_mfn:
        return [_sine_filter(i, axes, hidden, omega_0, generator) for i in range(layers + 1)]
    if kind is SlowNetworkKind.siren:
        first = Mixer(axes, hidden, axes, init=Init.default, generator=generator)
        nn.init.uniform_(first.weight, -omega_0 / axes, omega_0 / axes, generator=generator)
        return [first]
    first = Mixer(axes, hidden // 2, axes, init=Init.default, generator=generator)
    nn.init.normal_(first.weight, std=2 * math.pi * omega_0, generator=generator)
    nn.init.zeros_(first.bias)
    return [first.requires_grad_(False)]


def _sine_filter(i: int, axes: int, hidden: int, omega_0: float, generator: torch.Generator) -> Mixer:
    """F_i: the default linear init × 2π·ω0·γ, γ ~ Gamma(6/(i+1), 1) per (hidden, axis); bias 0 (§1)."""
    mixer = Mixer(axes, hidden, axes, init=Init.default, generator=generator)
    with torch.no_grad():
        gamma = torch._standard_gamma(torch.full_like(mixer.weight, 6 / (i + 1)), generator=generator)
        mixer.weight.mul_(2 * math.pi * omega_0 * gamma)
        mixer.bias.zero_()
    return mixer


def generate_kernels(networks: Sequence[SlowNetwork | FreeKernel]) -> list[Tensor]:
    """The kernel of each network, (1, out, *grid), channels last in memory."""
    kernels: dict[int, Tensor] = {}
    alike: dict[tuple[int, int, int], list[SlowNetwork]] = {}
    for network in networks:
        if isinstance(network, FreeKernel):
            kernels[id(network)] = network.kernel
        else:
            shape = (len(network.grid), network.hidden, len(network.linears))
            alike.setdefault(shape, []).append(network)
    for members in alike.values():
        kernels |= zip(map(id, members), _generate(members), strict=True)
    return [kernels[id(network)] for network in networks]


def _generate(networks: list[SlowNetwork]) -> Iterator[Tensor]:
    kind, bias = networks[0].kind, position_biases(networks)
    h, waves = sine_features(networks)
    for i, wave in enumerate(waves):
        h = next_features(kind, stack([network.linears[i] for network in networks]).mix(h), wave, bias)
    for network, features in zip(networks, h.unbind(), strict=True):
        rows = F.linear(features[: network.points], network.output.matrix, network.output.bias)  # (points, out)
        yield rows.view(*network.grid, -1).movedim(-1, 0).unsqueeze(0)


def generate_kernel_ref(network: SlowNetwork | FreeKernel) -> Tensor:
    """The formulas of `SlowNetwork`, one network. Returns its kernel, (1, out, *grid)."""
    if isinstance(network, FreeKernel):
        return network.kernel
    waves = sine_features_ref(network)
    h = waves[0]
    for i in range(len(network.linears)):
        h = next_features_ref(network, i, h, waves)
    return F.linear(h, network.output.matrix, network.output.bias).t().reshape(1, -1, *network.grid)


def sine_features(networks: Sequence[SlowNetwork]) -> tuple[Tensor, list[Tensor | None]]:
    """What depends on coordinates and filters alone: h_0, and for each layer sin(F_i c) where the kind has it.

    The phases are float64 products of the parameters, and their sines float64: at ω0 = 2000 the phases of float32 are
    off by up to 1e-2, differently on every device (§9.1).
    """
    filters = [mixer for network in networks for mixer in network.filters]
    kind, dtype, each = networks[0].kind, filters[0].weight.dtype, len(filters) // len(networks)
    bits = pad_sequence([network.coordinate_bits for network in networks], batch_first=True)
    coordinates = bits.view(torch.float64)  # (n, points, axes)
    weight = torch.cat([mixer.weight for mixer in filters]).view(len(networks), -1, coordinates.shape[2]).double()
    bias = torch.cat([mixer.bias for mixer in filters]).view(len(networks), 1, -1).double()
    phases = torch.baddbmm(bias, coordinates, weight.transpose(1, 2))  # (n, points, filters · hidden)
    waves = torch.cat([phases.sin(), phases.cos()], dim=2) if kind is SlowNetworkKind.fourier_mlp else phases.sin()
    first, *rest = waves.to(dtype).chunk(each, dim=2)
    return first, list(rest) if rest else [None] * len(networks[0].linears)


def sine_features_ref(network: SlowNetwork) -> list[Tensor]:
    """`sine_features` of one network: h_0, then sin(F_i c) where the kind has it; (points, hidden) each."""
    coordinates = coordinate_grid(network.grid).to(network.output.weight.device)
    phases = [F.linear(coordinates, f.matrix.double(), f.bias.double()) for f in network.filters]
    if network.kind is SlowNetworkKind.fourier_mlp:
        return [torch.cat([phases[0].sin(), phases[0].cos()], dim=1).to(network.output.weight.dtype)]
    return [phase.sin().to(network.output.weight.dtype) for phase in phases]


def position_biases(networks: Sequence[SlowNetwork]) -> Tensor | None:
    """p of each network, (n, points, 1), where the kind has it."""
    if networks[0].kind is not SlowNetworkKind.sine_mfn:
        return None
    return pad_sequence([network.position_bias.flatten() for network in networks], batch_first=True).unsqueeze(2)


def next_features(kind: SlowNetworkKind, mixed: Tensor, wave: Tensor | None, bias: Tensor | None) -> Tensor:
    """h_i of A_i h_{i-1} + a_i."""
    if wave is not None and bias is not None:
        return torch.addcmul(bias, wave, mixed)
    return mixed.sin() if kind is SlowNetworkKind.siren else F.gelu(mixed)


def next_features_ref(network: SlowNetwork, i: int, h: Tensor, waves: list[Tensor]) -> Tensor:
    """h_{i+1} of h_i, (points, hidden)."""
    mixed = F.linear(h, network.linears[i].matrix, network.linears[i].bias)
    if network.kind is SlowNetworkKind.sine_mfn:
        return waves[i + 1] * mixed + network.position_bias.view(-1, 1)
    return mixed.sin() if network.kind is SlowNetworkKind.siren else F.gelu(mixed)


ALPHA, BETA = 1.0, 0.1  # of the renormalisation


class LocalSlowNetwork(SlowNetwork):
    """A slow network whose layers are renormalised and multiplied by X_i g; `LocalKernels` makes the kernel.

    Renormalisation: h ← α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂, with the norm over the grid per hidden channel.
    Context: g = GELU(Fc mean_batch R(adaptive_avg_pool(z))). Without one X_i g is left out. z has `out` channels.
    """

    def __init__(
        self, grid: Sequence[int], out: int, recipe: SlowRecipe, *, has_context: bool, learn_renormalisation: bool
    ) -> None:
        super().__init__(grid, out, recipe)
        axes, hidden, layers, generator = len(grid), recipe.hidden, recipe.layers, recipe.generator
        if has_context:
            self.context_reduce = Mixer(out, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linears = Mixers(
                Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
                for _ in range(layers)
            )
        self.alpha: Tensor | None = None
        self.beta: Tensor | None = None
        if learn_renormalisation:  # else constants, as in the release (§9.4)
            self.alpha = nn.Parameter(torch.full((layers, hidden), ALPHA))
            self.beta = nn.Parameter(torch.full((layers, hidden), BETA))


class FreeLocalKernel(FreeKernel):
    """A free depth-wise kernel; a context multiplies it by X g."""

    def __init__(self, grid: Sequence[int], out: int, recipe: SlowRecipe, *, has_context: bool) -> None:
        super().__init__(grid, out, recipe)
        axes, hidden, generator = len(grid), recipe.hidden, recipe.generator
        if has_context:
            self.context_reduce = Mixer(out, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            init = Init.kaiming_uniform_linear
            self.context_linear = Mixer(hidden, out, axes, init=init, bias=1.0, generator=generator)


def build_local_slow_network(
    grid: Sequence[int], channels: int, recipe: SlowRecipe, config: TerminatorConfig
) -> LocalSlowNetwork | FreeLocalKernel:
    """What makes a depth-wise kernel of `channels` on `grid`."""
    if recipe.kind is SlowNetworkKind.free:
        return FreeLocalKernel(grid, channels, recipe, has_context=config.local_context)
    learn = config.learn_renormalisation
    return LocalSlowNetwork(grid, channels, recipe, has_context=config.local_context, learn_renormalisation=learn)


class FirstLayer(NamedTuple):
    """What local slow networks compute before they see a context: h_1, renormalised; later layers' waves; p."""

    features: Tensor
    waves: tuple[Tensor | None, ...]
    bias: Tensor | None

    def split(self, parts: int) -> list[FirstLayer]:
        """As many equal parts, the networks in order."""
        columns = [
            [None] * parts if tensor is None else tensor.chunk(parts)
            for tensor in (self.features, self.bias, *self.waves)
        ]
        return [FirstLayer(features, tuple(waves), bias) for features, bias, *waves in zip(*columns, strict=True)]


class LocalKernels(nn.Module):
    """Generates the kernels of a block's local branches. `networks` make them: all slow networks, or all free kernels.
    They belong to the branches, and are no submodules of this one. The contexts have `pixels`."""

    bins: Tensor
    bin_sizes: Tensor
    mask: Tensor

    def __init__(self, networks: Sequence[LocalSlowNetwork | FreeLocalKernel], pixels: Sequence[int]) -> None:
        super().__init__()
        self.networks = [network for network in networks if isinstance(network, LocalSlowNetwork)]
        self.free = [network for network in networks if isinstance(network, FreeLocalKernel)]
        bins = [pooling_bins(pixels, network.grid) for network in networks]
        self.register_buffer("bins", pad_sequence(bins, batch_first=True), persistent=False)  # (n, points, pixels)
        sizes = [matrix.sum(1, keepdim=True) for matrix in bins]
        self.register_buffer("bin_sizes", pad_sequence(sizes, batch_first=True, padding_value=1.0), persistent=False)
        self.register_buffer("mask", pad_sequence([torch.ones(len(each), 1) for each in bins], True), persistent=False)

    def forward(self, first: FirstLayer | None, contexts: Tensor | None) -> list[Tensor]:
        """`first`: of `first_layers`. `contexts`: (n, pixels, C), means over the batch, None for networks without.
        Returns each network's kernel, (out, 1, *grid)."""
        if first is None:
            return self._free_kernels(contexts)
        gates = self._gates(contexts) if contexts is not None else None
        h = first.features if gates is None else first.features * gates[0]
        for i, wave in enumerate(first.waves, start=1):
            mixed = stack([network.linears[i] for network in self.networks]).mix(h)
            h = next_features(self.networks[0].kind, mixed, wave, first.bias) * self.mask
            h = _renormalise(h, self.networks, i)
            h = h if gates is None else h * gates[i]
        rows = stack([network.output for network in self.networks]).mix(h).transpose(1, 2)  # (n, out, points)
        return [
            kernel[:, : network.points].reshape(-1, 1, *network.grid)
            for network, kernel in zip(self.networks, rows.unbind(), strict=True)
        ]

    def _free_kernels(self, contexts: Tensor | None) -> list[Tensor]:
        kernels = [network.kernel.transpose(0, 1) for network in self.free]
        if contexts is None:
            return kernels
        g = self._context(self.free, contexts)
        gates = stack([network.context_linear for network in self.free]).mix(g).transpose(1, 2)  # (n, out, points)
        return [
            kernel * gate[:, : kernel[0].numel()].reshape(kernel.shape)
            for kernel, gate in zip(kernels, gates.unbind(), strict=True)
        ]

    def _gates(self, contexts: Tensor) -> tuple[Tensor, ...]:
        """X_i g of each layer, (n, points, hidden)."""
        linears = [mixer for network in self.networks for mixer in network.context_linears]
        stacked = stack(linears, len(self.networks)).mix(self._context(self.networks, contexts))
        return stacked.chunk(len(linears) // len(self.networks), dim=2)

    def _context(self, networks: Sequence[LocalSlowNetwork | FreeLocalKernel], contexts: Tensor) -> Tensor:
        """g, (n, points, hidden). Pooling and R are linear, so that they can follow the mean over the batch."""
        pooled = torch.bmm(self.bins, contexts) / self.bin_sizes
        reduced = stack([network.context_reduce for network in networks]).mix(pooled)
        return F.gelu(stack([network.context_fc for network in networks]).mix(reduced))


def first_layers(blocks: Sequence[LocalKernels]) -> Sequence[FirstLayer | None]:
    """Of the local slow networks of several blocks, which are alike in all; None for each that has free kernels."""
    networks = [network for block in blocks for network in block.networks]
    if not networks:
        return [None] * len(blocks)
    h, (wave, *waves) = sine_features(networks)
    mixed, bias = stack([network.linears[0] for network in networks]).mix(h), position_biases(networks)
    h = next_features(networks[0].kind, mixed, wave, bias) * blocks[0].mask.repeat(len(blocks), 1, 1)
    return FirstLayer(_renormalise(h, networks, 0), tuple(waves), bias).split(len(blocks))


def _renormalise(h: Tensor, networks: Sequence[LocalSlowNetwork], i: int) -> Tensor:
    """α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂ after layer i + 1, the norm over the points."""
    unit = F.normalize(h, dim=1)
    alphas = [network.alpha[i] for network in networks if network.alpha is not None]
    betas = [network.beta[i] for network in networks if network.beta is not None]
    if not alphas or not betas:
        return torch.add(ALPHA * h.detach(), unit, alpha=BETA)
    return torch.stack(alphas).unsqueeze(1) * h.detach() + torch.stack(betas).unsqueeze(1) * unit


def local_kernel_ref(network: LocalSlowNetwork, context: Tensor) -> Tensor:
    """The formulas of `LocalSlowNetwork` in their own order, α and β constant; `context`: (B, C, *pixels). Returns the
    kernel, (out, 1, *grid)."""
    pool = F.adaptive_avg_pool2d if context.dim() == 4 else F.adaptive_avg_pool1d
    pooled = pool(context, network.grid)  # type: ignore[arg-type]
    g = mix_ref(network.context_reduce, pooled).mean(0, keepdim=True)
    g = F.gelu(mix_ref(network.context_fc, g))
    waves = sine_features_ref(network)
    h = waves[0]
    for i in range(len(network.linears)):
        h = next_features_ref(network, i, h, waves)
        h = ALPHA * h.detach() + BETA * h / h.norm(dim=0, keepdim=True)
        h = h * mix_ref(network.context_linears[i], g).flatten(2).squeeze(0).t()
    return F.linear(h, network.output.matrix, network.output.bias).t().reshape(-1, 1, *network.grid)


class HyperKernels(NamedTuple):
    """What a block's slow networks make of coordinates alone: kernels by the networks' names in the block, each
    (1, out, *grid), and the local ones' first layer."""

    named: dict[str, Tensor]
    local: FirstLayer | None


class SlowNetworks:
    """Of a block: those of coordinates alone, by their names in it, and what generates the local kernels."""

    def __init__(self, block: nn.Module) -> None:
        local = (LocalSlowNetwork, FreeLocalKernel)
        self.named: dict[str, SlowNetwork | FreeKernel] = {
            name: module
            for name, module in block.named_modules()
            if isinstance(module, (SlowNetwork, FreeKernel)) and not isinstance(module, local)
        }
        self.local = [module for module in block.modules() if isinstance(module, LocalKernels)]

    def local_networks(self) -> list[LocalSlowNetwork | FreeLocalKernel]:
        """The networks that make local kernels."""
        return [network for kernels in self.local for network in (kernels.networks or kernels.free)]


def generate_hyper_kernels(blocks: Sequence[SlowNetworks]) -> list[HyperKernels]:
    """In float32 at least, whatever autocast would have: kernels are few, and everything is multiplied by them."""
    networks = [network for block in blocks for network in (*block.named.values(), *block.local_networks())]
    if not networks:
        return [HyperKernels({}, None) for _ in blocks]
    with torch.autocast(next(networks[0].parameters()).device.type, enabled=False):
        generated = iter(generate_kernels([network for block in blocks for network in block.named.values()]))
        local = iter(first_layers([kernels for block in blocks for kernels in block.local]))
        return [
            HyperKernels({name: next(generated) for name in block.named}, next(local) if block.local else None)
            for block in blocks
        ]
