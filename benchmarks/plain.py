"""The network as a direct transcription of the release: every formula on its own, in its own order, channels first.

It computes with the parameters of a `Terminator`, and is what the fast form is measured against, in speed and in value.
Plain forms exist for the release's choices (spec §6–7) alone, with 1D's ⊗ elementwise (spec §2 OPEN).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.model.branches import RecursiveGatedUnit
from terminator.model.kernels import ALPHA, BETA, LocalSlowNetwork, SlowNetwork, coordinate_grid
from terminator.model.mixer import Mixer
from terminator.model.normalisation import EPSILON
from terminator.model.terminator import Output, SFNEBlock, Terminator

GROUPS = 12


def plain_forward(network: Terminator, images: Tensor) -> Output:
    """Images (B, C, *pixels) → Output, as `network(images)`. Without dropout."""
    outputs: list[Tensor] = []
    kernels = []
    z = images
    for block, sources in zip(network.blocks, network.previous, strict=True):
        assert isinstance(block, SFNEBlock)
        z, kernel = plain_block(block, z, [outputs[source] for source in sources])
        outputs.append(z)
        kernels.append(kernel)
    return Output(F.linear(z.mean(pixels(z)), network.head.weight, network.head.bias), tuple(kernels))


def plain_block(block: SFNEBlock, z: Tensor, previous: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Spec §6."""
    assert block.local is not None
    kernel = slow(block.global_slow)
    hyper = z * kernel
    f = standardise(rgu(block.rgu_slow, hyper) + rgu(block.rgu_fast, z), pixels(z))
    m = standardise(mix(block.channel_mixer, z), pixels(z))
    s = z.mean(pixels(z), keepdim=True)
    score = over_channels(slow(block.hyper_channel_interaction.slow), z) * s * s
    hc = standardise(z * torch.sigmoid(score), pixels(z))
    o = multiply(hyper, f)
    ends = {"z": z, "m": m, "hc": hc}
    branches = {
        "gated": f,
        "si_glu": torch.sigmoid(o) * o,
        "global_gated": o,
        "global_mixed": multiply(hyper, m),
        "global_channel": multiply(hyper, hc),
        "interaction": interaction(block, o, z),
    }
    for i, branch in enumerate(block.local.all):
        depthwise = local_kernel(branch.slow, ends[block.local.contexts[i]])
        convolved = convolve(ends[block.local.convolved[i]], depthwise, None, groups=len(depthwise))
        branches[f"local.{i}"] = F.gelu(standardise(mix(branch.mixer, convolved), (0, *pixels(z)))) + branch.bias
    for i, earlier in enumerate(previous):
        repeats = -(-z.shape[1] // earlier.shape[1])
        branches[f"previous.{i}"] = earlier.repeat(1, repeats, *[1] * len(pixels(z)))[:, : z.shape[1]]
    y = mix(block.bottleneck, torch.cat([branches[name] for name in block.order], dim=1))
    return F.gelu(g_ibs(y)) + block.bias, kernel


def pixels(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))


def over_channels(kernel: Tensor, x: Tensor) -> Tensor:
    return kernel.view(1, -1, *[1] * len(pixels(x)))


def multiply(kernel: Tensor, y: Tensor) -> Tensor:
    """⊗, spec §2."""
    return kernel @ y if y.dim() == 4 else kernel * y


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int = 1) -> Tensor:
    convolution = F.conv2d if x.dim() == 4 else F.conv1d
    return convolution(x, weight, bias, padding="same", groups=groups)


def mix(mixer: Mixer, x: Tensor) -> Tensor:
    return convolve(x, mixer.weight, mixer.bias)


def standardise(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON)


def g_ibs(x: Tensor) -> Tensor:
    """Spec §3."""
    dims = [(0, *pixels(x)), pixels(x)]
    return torch.cat([standardise(group, dims[i % 2]) for i, group in enumerate(x.chunk(GROUPS, dim=1))], dim=1)


def rgu(unit: RecursiveGatedUnit, x: Tensor) -> Tensor:
    """Spec §4."""
    q = mix(unit.k, x) * mix(unit.q, mix(unit.v, x))
    return mix(unit.y, F.gelu(standardise(q, pixels(x))) + unit.position_bias)


def interaction(block: SFNEBlock, source: Tensor, x: Tensor) -> Tensor:
    """HI, spec §5."""
    s, t = source.mean(pixels(source), keepdim=True), source.mean(1, keepdim=True)
    c = over_channels(slow(block.hyper_interaction.channel_slow), x) * s * s
    m = slow(block.hyper_interaction.spatial_slow) * t * t
    return x * torch.sigmoid(m * c)


def slow(network: SlowNetwork) -> Tensor:
    """Global and channel slow networks, spec §1: (1, out, *grid)."""
    waves = sines(network)
    h = waves[0]
    for i, linear in enumerate(network.linears):
        h = waves[i + 1] * F.linear(h, linear.matrix, linear.bias) + network.position_bias.view(-1, 1)
    return F.linear(h, network.output.matrix, network.output.bias).t().reshape(1, -1, *network.grid)


def sines(network: SlowNetwork) -> list[Tensor]:
    coordinates = coordinate_grid(network.grid).to(network.output.weight.device)
    phases = [F.linear(coordinates, f.matrix.double(), f.bias.double()) for f in network.filters]
    return [phase.sin().to(network.output.weight.dtype) for phase in phases]


def local_kernel(network: LocalSlowNetwork, context: Tensor) -> Tensor:
    """Spec §1: (C, 1, *grid)."""
    pool = F.adaptive_avg_pool2d if context.dim() == 4 else F.adaptive_avg_pool1d
    pooled = pool(context, network.grid)  # type: ignore[arg-type]
    g = mix(network.context_reduce, pooled).mean(0, keepdim=True)
    g = F.gelu(mix(network.context_fc, g))
    waves = sines(network)
    h = waves[0]
    for i, linear in enumerate(network.linears):
        h = waves[i + 1] * F.linear(h, linear.matrix, linear.bias) + network.position_bias.view(-1, 1)
        h = ALPHA * h.detach() + BETA * h / h.norm(dim=0, keepdim=True)
        h = h * mix(network.context_linears[i], g).flatten(2).squeeze(0).t()
    return F.linear(h, network.output.matrix, network.output.bias).t().reshape(-1, 1, *network.grid)
