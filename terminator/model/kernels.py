"""The fixed grid that slow networks see (spec §1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from terminator.model.config import SlowNetworkKind
from terminator.model.mixer import Init, Mixer, Mixers


def coordinate_grid(shape: Sequence[int]) -> Tensor:
    """Coordinates evenly spaced in [-1, 1] on every axis, ends included, `ij` order; float64 (points, axes)."""
    axes = [torch.linspace(-1, 1, size, dtype=torch.float64) for size in shape]
    return torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], dim=1)


class SlowRecipe(NamedTuple):
    """What all slow networks of a network share; `generator` draws their weights."""

    kind: SlowNetworkKind
    omega_0: float
    generator: torch.Generator


class SlowNetwork(nn.Module):
    """The parameters of a small implicit network on a fixed grid; `generate_kernels` makes kernels of them.

    `sine_mfn`: h_0 = sin(F_0 c), h_i = sin(F_i c) ⊙ (A_i h_{i-1} + a_i) + p (MAGNet; Romero et al. 2110.08059).
    `siren`: h_0 = sin(F_0 c), h_i = sin(A_i h_{i-1} + a_i) (Sitzmann et al. 2006.09661).
    `fourier_mlp`: h_0 = [sin, cos](F_0 c) with F_0 fixed, h_i = GELU(A_i h_{i-1} + a_i) (Tancik et al. 2006.10739).
    In all of them K = A_o h_n + a_o. ω0 scales F_0 (in `sine_mfn` every F_i).
    """

    coordinate_bits: Tensor

    def __init__(self, grid: Sequence[int], out: int, *, hidden: int, layers: int, recipe: SlowRecipe) -> None:
        super().__init__()
        axes, generator = len(grid), recipe.generator
        self.grid = tuple(grid)
        self.kind = recipe.kind
        self.hidden = hidden
        # as integers, since `.to(dtype)` and the like would round a floating buffer, and phases need float64
        self.register_buffer("coordinate_bits", coordinate_grid(grid).view(torch.int64), persistent=False)
        self.filters = Mixers(_filters(recipe, axes, hidden, layers))
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

    def __init__(self, grid: Sequence[int], out: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(1, out, *grid))
        nn.init.normal_(self.kernel, std=math.sqrt(1 / math.prod(grid)), generator=generator)


def build_slow_network(
    grid: Sequence[int], out: int, *, hidden: int, layers: int, recipe: SlowRecipe
) -> SlowNetwork | FreeKernel:
    """What makes a kernel of `out` channels on `grid`."""
    if recipe.kind is SlowNetworkKind.free:
        return FreeKernel(grid, out, generator=recipe.generator)
    return SlowNetwork(grid, out, hidden=hidden, layers=layers, recipe=recipe)


def _filters(recipe: SlowRecipe, axes: int, hidden: int, layers: int) -> list[Mixer]:
    kind, omega_0, generator = recipe
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
    """F_i: the default linear init × 2π·ω0·γ, γ ~ Gamma(6/(i+1), 1) per (hidden, axis); bias 0 (spec §1)."""
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
        for network, kernel in zip(members, _generate(members), strict=True):
            kernels[id(network)] = kernel
    return [kernels[id(network)] for network in networks]


def _generate(networks: list[SlowNetwork]) -> list[Tensor]:
    kind, bias = networks[0].kind, position_biases(networks)
    h, waves = sine_features(networks)
    for i, wave in enumerate(waves):
        h = next_features(kind, stack([network.linears[i] for network in networks]).mix(h), wave, bias)
    kernels = []
    for network, features in zip(networks, h.unbind(), strict=True):
        rows = F.linear(features[: network.points], network.output.matrix, network.output.bias)  # (points, out)
        kernels.append(rows.view(*network.grid, -1).movedim(-1, 0).unsqueeze(0))
    return kernels


class StackedMixers(NamedTuple):
    """n mixers of one shape: weight (n, in, out), bias (n, 1, out)."""

    weight: Tensor
    bias: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """Each mixer on its own rows: (n, points, in) → (n, points, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


def stack(mixers: Sequence[Mixer], groups: int | None = None) -> StackedMixers:
    """Put mixers of one shape side by side; with `groups`, the outputs of each group in a row."""
    groups = groups or len(mixers)
    weight = torch.cat([mixer.weight for mixer in mixers]).view(groups, -1, mixers[0].weight.shape[1])
    return StackedMixers(weight.transpose(1, 2), torch.cat([mixer.bias for mixer in mixers]).view(groups, 1, -1))


def sine_features(networks: Sequence[SlowNetwork]) -> tuple[Tensor, list[Tensor | None]]:
    """What depends on coordinates and filters alone: h_0, and for each layer sin(F_i c) where the kind has it.

    The phases are float64 products of the parameters, and their sines float64: at ω0 = 2000 the phases of float32 are
    off by up to 1e-2, differently on every device (spec §9.1).
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


def pooling_bins(pixels: Sequence[int], grid: Sequence[int]) -> Tensor:
    """Which pixels PyTorch's adaptive_avg_pool averages for each point of `grid`: (grid points, pixels) of 0 and 1."""
    return reduce(torch.kron, [_axis(size, bins) for size, bins in zip(pixels, grid, strict=True)])


def _axis(size: int, bins: int) -> Tensor:
    matrix = torch.zeros(bins, size)
    for i in range(bins):
        matrix[i, i * size // bins : -(-(i + 1) * size // bins)] = 1
    return matrix


ALPHA, BETA = 1.0, 0.1  # of the renormalisation


class LocalSlowNetwork(SlowNetwork):
    """A slow network whose layers are renormalised and multiplied by X_i g; `LocalKernels` makes the kernel.

    Renormalisation: h ← α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂, with the norm over the grid per hidden channel.
    Context: g = GELU(Fc mean_batch R(adaptive_avg_pool(z))). Without one (`context_channels` None) X_i g is left out.
    """

    def __init__(
        self,
        grid: Sequence[int],
        out: int,
        *,
        hidden: int,
        layers: int,
        recipe: SlowRecipe,
        context_channels: int | None,
        learn_renormalisation: bool,
    ) -> None:
        super().__init__(grid, out, hidden=hidden, layers=layers, recipe=recipe)
        axes, generator = len(grid), recipe.generator
        if context_channels is not None:
            self.context_reduce = Mixer(context_channels, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linears = Mixers(
                Mixer(hidden, hidden, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator)
                for _ in range(layers)
            )
        self.alpha: Tensor | None = None
        self.beta: Tensor | None = None
        if learn_renormalisation:  # else constants, as in the release (spec §9.4)
            self.alpha = nn.Parameter(torch.full((layers, hidden), ALPHA))
            self.beta = nn.Parameter(torch.full((layers, hidden), BETA))


class FreeLocalKernel(FreeKernel):
    """A free depth-wise kernel; a context multiplies it by X g."""

    def __init__(
        self,
        grid: Sequence[int],
        out: int,
        *,
        hidden: int,
        context_channels: int | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__(grid, out, generator=generator)
        axes = len(grid)
        self.grid = tuple(grid)
        if context_channels is not None:
            self.context_reduce = Mixer(context_channels, hidden, axes, init=Init.default, generator=generator)
            self.context_fc = Mixer(hidden, hidden, axes, init=Init.default, generator=generator)
            self.context_linear = Mixer(
                hidden, out, axes, init=Init.kaiming_uniform_linear, bias=1.0, generator=generator
            )


def build_local_slow_network(
    grid: Sequence[int],
    out: int,
    *,
    hidden: int,
    layers: int,
    recipe: SlowRecipe,
    context_channels: int | None,
    learn_renormalisation: bool,
) -> LocalSlowNetwork | FreeLocalKernel:
    """What makes a depth-wise kernel of `out` channels on `grid`."""
    if recipe.kind is SlowNetworkKind.free:
        return FreeLocalKernel(grid, out, hidden=hidden, context_channels=context_channels, generator=recipe.generator)
    return LocalSlowNetwork(
        grid,
        out,
        hidden=hidden,
        layers=layers,
        recipe=recipe,
        context_channels=context_channels,
        learn_renormalisation=learn_renormalisation,
    )


class FirstLayer(NamedTuple):
    """What local slow networks compute before they see a context: h_1, renormalised; later layers' waves; p."""

    features: Tensor
    waves: tuple[Tensor | None, ...]
    bias: Tensor | None

    def split(self, parts: int) -> list[FirstLayer]:
        """Equal shares of the networks, in order."""
        columns = [_split(tensor, parts) for tensor in (self.features, self.bias, *self.waves)]
        return [FirstLayer(features, tuple(waves), bias) for features, bias, *waves in zip(*columns, strict=True)]


def _split(tensor: Tensor | None, parts: int) -> Sequence[Tensor | None]:
    return [None] * parts if tensor is None else tensor.chunk(parts)


class LocalKernels(nn.Module):
    """Generates the kernels of local branches on `grids`, whose contexts have `pixels`."""

    bins: Tensor
    bin_sizes: Tensor
    mask: Tensor

    def __init__(self, grids: Sequence[Sequence[int]], pixels: Sequence[int]) -> None:
        super().__init__()
        bins = [pooling_bins(pixels, grid) for grid in grids]
        self.register_buffer("bins", pad_sequence(bins, batch_first=True), persistent=False)  # (n, points, pixels)
        sizes = [matrix.sum(1, keepdim=True) for matrix in bins]
        self.register_buffer("bin_sizes", pad_sequence(sizes, batch_first=True, padding_value=1.0), persistent=False)
        used = [torch.ones(len(matrix), 1) for matrix in bins]
        self.register_buffer("mask", pad_sequence(used, batch_first=True), persistent=False)

    def first_layer(self, networks: Sequence[LocalSlowNetwork]) -> FirstLayer:
        """Of the networks of one block, or of several blocks in turn."""
        h, (wave, *waves) = sine_features(networks)
        bias = position_biases(networks)
        mixed = stack([network.linears[0] for network in networks]).mix(h)
        mask = self.mask.repeat(len(networks) // len(self.mask), 1, 1)
        h = next_features(networks[0].kind, mixed, wave, bias) * mask
        return FirstLayer(_renormalise(h, networks, 0), tuple(waves), bias)

    def forward(self, networks: Sequence[LocalSlowNetwork], first: FirstLayer, contexts: Tensor | None) -> list[Tensor]:
        """`contexts`: (n, pixels, C), means over the batch, None for networks without. → n × (out, 1, *grid)."""
        gates = self._gates(networks, contexts) if contexts is not None else None
        h = first.features if gates is None else first.features * gates[0]
        for i, wave in enumerate(first.waves, start=1):
            mixed = stack([network.linears[i] for network in networks]).mix(h)
            h = next_features(networks[0].kind, mixed, wave, first.bias) * self.mask
            h = _renormalise(h, networks, i)
            h = h if gates is None else h * gates[i]
        rows = stack([network.output for network in networks]).mix(h).transpose(1, 2)  # (n, out, points)
        return [
            kernel[:, : network.points].reshape(-1, 1, *network.grid)
            for network, kernel in zip(networks, rows.unbind(), strict=True)
        ]

    def free(self, networks: Sequence[FreeLocalKernel], contexts: Tensor | None) -> list[Tensor]:
        """The same for free kernels, which have no layers."""
        kernels = [network.kernel.transpose(0, 1) for network in networks]
        if contexts is None:
            return kernels
        g = self._context(networks, contexts)
        gates = stack([network.context_linear for network in networks]).mix(g).transpose(1, 2)  # (n, out, points)
        return [
            kernel * gate[:, : kernel[0].numel()].reshape(kernel.shape)
            for kernel, gate in zip(kernels, gates.unbind(), strict=True)
        ]

    def _gates(self, networks: Sequence[LocalSlowNetwork], contexts: Tensor) -> tuple[Tensor, ...]:
        """X_i g of each layer, (n, points, hidden)."""
        linears = [mixer for network in networks for mixer in network.context_linears]
        stacked = stack(linears, len(networks)).mix(self._context(networks, contexts))
        return stacked.chunk(len(linears) // len(networks), dim=2)

    def _context(self, networks: Sequence[LocalSlowNetwork | FreeLocalKernel], contexts: Tensor) -> Tensor:
        """g, (n, points, hidden). Pooling and R are linear, so that they can follow the mean over the batch."""
        pooled = torch.bmm(self.bins, contexts) / self.bin_sizes
        reduced = stack([network.context_reduce for network in networks]).mix(pooled)
        return F.gelu(stack([network.context_fc for network in networks]).mix(reduced))


def _renormalise(h: Tensor, networks: Sequence[LocalSlowNetwork], i: int) -> Tensor:
    """α ⊙ stopgrad(h) + β ⊙ h / ‖h‖₂ after layer i + 1, the norm over the points."""
    unit = F.normalize(h, dim=1)
    alphas = [network.alpha[i] for network in networks if network.alpha is not None]
    betas = [network.beta[i] for network in networks if network.beta is not None]
    if not alphas or not betas:
        return torch.add(ALPHA * h.detach(), unit, alpha=BETA)
    return torch.stack(alphas).unsqueeze(1) * h.detach() + torch.stack(betas).unsqueeze(1) * unit
