"""The Terminator: SFNE blocks and a head (docs/architecture.md §6–7), and its penalty (§8)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.branches import Features, Site, bottleneck_order, computed_branches
from terminator.model.classifier import Output
from terminator.model.config import TerminatorConfig
from terminator.model.kernels import HyperKernels, SlowNetworks, generate_hyper_kernels, generate_kernel_ref
from terminator.model.mixer import Init, Mixer, mix_ref
from terminator.model.normalisation import build_standardisation, g_ibs_ref, standardise_ref
from terminator.model.ops import (
    channels_last,
    concatenate,
    hyper_product,
    hyper_product_ref,
    pixel_axes,
    pixel_mean,
    tile_channels,
    tile_channels_ref,
)

Config = TerminatorConfig


class BlockOutput(NamedTuple):
    """A block's features (B, out, *pixels), and K_g (1, C, *pixels) where a branch needed it."""

    features: Tensor
    kernel: Tensor | None


class SFNEBlock(nn.Module):
    """One block: branches on the input Z → bottleneck → standardisation → GELU → + scalar → channel dropout (§6).

    A branch that is off costs nothing: what only it reads is neither built nor computed.
    """

    def __init__(self, site: Site, *, out: int, dropout: float) -> None:
        super().__init__()
        config, axes = site.config, len(site.pixels)
        self.config = config
        self.product = hyper_product(config.product_on(site.pixels), site.pixels)
        self.computed = computed_branches(config, site.previous)
        for branch in sorted(self.computed, key=lambda branch: branch.drawn):
            for name, module in branch.build(site).items():
                self.add_module(name, module)
        self.names = [branch.values(config, site.previous) for branch in self.computed]
        self.order = bottleneck_order(config, site.previous)
        self.slow_networks = SlowNetworks(self)
        inputs = site.channels * max(len(self.order), 1)
        self.bottleneck = Mixer(inputs, out, axes, init=Init.kaiming_normal, generator=site.generator)
        self.standardise = build_standardisation(config.standardisation, out)
        self.bias = nn.Parameter(torch.zeros(1)) if config.learn_scalars else None
        self.dropout = nn.Dropout1d(dropout) if axes == 1 else nn.Dropout2d(dropout)

    def forward(self, z: Tensor, previous: Sequence[Tensor], kernels: HyperKernels) -> BlockOutput:
        """`z`: (B, C, *pixels). `previous`: outputs of earlier blocks, same pixels. `kernels`: this block's."""
        x = Features({"z": z}, previous, kernels)
        for branch, names in zip(self.computed, self.names, strict=True):
            value = branch.forward(self, x)
            x.values |= zip(names, [value] if branch.count is None else value, strict=True)
        inputs = concatenate([x[name] for name in self.order]) if self.order else z
        y = F.gelu(self.standardise(self.bottleneck(inputs)))
        if self.bias is not None:
            y = y + self.bias.to(y.dtype)  # a float32 parameter would end autocast's bfloat16 here
        y = self.dropout(y)
        if self.config.residual:
            y = y + tile_channels(z, y.shape[1])
        return BlockOutput(y, x.values.get("global_kernel"))

    def forward_ref(self, z: Tensor, previous: Sequence[Tensor]) -> BlockOutput:
        """The formulas of §6 in the release's choices, its kernels' included."""
        block: Any = self
        kernel = generate_kernel_ref(block.global_slow)
        hyper = z * kernel
        f = standardise_ref(block.rgu_slow.forward_ref(hyper) + block.rgu_fast.forward_ref(z), pixel_axes(z))
        m = standardise_ref(mix_ref(block.channel_mixer, z), pixel_axes(z))
        hc = standardise_ref(block.hyper_channel_interaction.forward_ref(z), pixel_axes(z))
        o = hyper_product_ref(hyper, f)
        values = {
            "gated": f,
            "si_glu": torch.sigmoid(o) * o,
            "global_gated": o,
            "global_mixed": hyper_product_ref(hyper, m),
            "global_channel": hyper_product_ref(hyper, hc),
            "interaction": block.hyper_interaction.forward_ref(o, z),
        }
        local = block.local.forward_ref({"z": z, "m": m, "hc": hc})
        values |= {f"local.{i}": y for i, y in enumerate(local)}
        values |= {f"previous.{i}": tile_channels_ref(y, z.shape[1]) for i, y in enumerate(previous)}
        y = mix_ref(self.bottleneck, torch.cat([values[name] for name in self.order], dim=1))
        return BlockOutput(F.gelu(g_ibs_ref(y)) + block.bias, kernel)

    def slow_networks_and_gates(self) -> list[nn.Module]:
        """The parts that the penalty all but spares (§8)."""
        gates = [module for name, module in self.named_children() if name in ("rgu_slow", "rgu_fast")]
        return [*self.slow_networks.named.values(), *gates, *self.slow_networks.local_networks()]


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
                Site(config, channels, pixels, config.block_global_layers(i), len(self.previous[i]), generator),
                out=out,
                dropout=config.block_dropout(i),
            )
            for i, (channels, out) in enumerate(zip([image_channels, *outs], outs, strict=False))
        ]
        self.blocks = nn.ModuleList(self._blocks)
        self.head = nn.Linear(outs[-1], classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)
        self._penalty = Penalty(self._blocks, axes=len(pixels))
        self._fixed_kernels: list[HyperKernels] | None = None

    def forward(self, images: Tensor) -> Output:
        hyper_kernels = self._fixed_kernels or self.generate_hyper_kernels()
        z = channels_last(images)
        outputs: list[Tensor] = []
        kernels = []
        for block, sources, of_block in zip(self.blocks, self.previous, hyper_kernels, strict=True):
            z, kernel = block(z, [outputs[source] for source in sources], of_block)
            outputs.append(z)
            kernels.append(kernel)
        return Output(self.head(pixel_mean(z)), tuple(kernel for kernel in kernels if kernel is not None))

    def forward_ref(self, images: Tensor) -> Output:
        """The network as a direct transcription of the release: every formula on its own, in its own order, channels
        first. What the fast form is measured against, in speed and in value. For the release's choices (§6–7), with
        1D's ⊗ elementwise; without dropout."""
        z = images
        outputs: list[Tensor] = []
        kernels: list[Tensor] = []
        for block, sources in zip(self._blocks, self.previous, strict=True):
            z, kernel = block.forward_ref(z, [outputs[source] for source in sources])
            outputs.append(z)
            kernels += [kernel] if kernel is not None else []
        return Output(F.linear(z.mean(pixel_axes(z)), self.head.weight, self.head.bias), tuple(kernels))

    def generate_hyper_kernels(self) -> list[HyperKernels]:
        """Each block's kernels, as far as they depend on coordinates alone."""
        return generate_hyper_kernels([block.slow_networks for block in self._blocks])

    def penalty(self) -> Tensor:
        """The norms of §8, without their factor l2; scalar."""
        return self._penalty()

    @contextmanager
    def fixed_kernels(self) -> Iterator[None]:
        """Inside, parameters must not change: what depends on them and coordinates alone is generated once."""
        with torch.no_grad():
            self._fixed_kernels = self.generate_hyper_kernels()
        try:
            yield
        finally:
            self._fixed_kernels = None


def build(
    config: TerminatorConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator
) -> Terminator:
    """Raises UserError where ⊗ does not fit the images."""
    return Terminator(config, image_shape=image_shape, classes=classes, generator=generator)


def _warn_of_wide_kernels(config: TerminatorConfig, pixels: Sequence[int]) -> None:
    """A kernel of 2N − 1 sees all of N pixels from each of them."""
    widest = 2 * min(pixels) - 1
    wide = [size for size, _ in config.local_branches() if size > widest]
    if wide:
        size = "×".join(str(side) for side in pixels)
        message = f"model.local_kernels={config.local_kernels}: on {size} pixels sizes beyond {widest} see nothing more"
        warnings.warn(message, stacklevel=4)
