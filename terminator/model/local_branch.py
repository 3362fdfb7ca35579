"""The local branches: context-dependent depth-wise convolutions (spec §2, §6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import TerminatorConfig, Wiring
from terminator.model.depthwise import depthwise_convolution
from terminator.model.local_kernels import FirstLayer, LocalKernels
from terminator.model.local_slow_network import FreeLocalKernel, LocalSlowNetwork, build_local_slow_network
from terminator.model.mixer import Init, Mixer
from terminator.model.slow_network import SlowRecipe
from terminator.model.standardisation import BatchStandardise, ContextMean


class LocalBranch(nn.Module):
    """GELU(BS(mixer(kernel ⊛ Y))) + one scalar, the kernel made by `slow`. (B, C, *pixels) → same."""

    def __init__(
        self,
        channels: int,
        axes: int,
        slow: LocalSlowNetwork | FreeLocalKernel,
        *,
        learn_scalar: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.slow = slow
        self.mixer = Mixer(channels, channels, axes, init=Init.kaiming_normal, generator=generator)
        self.standardise = BatchStandardise()
        self.bias = nn.Parameter(torch.zeros(1)) if learn_scalar else None

    def forward(self, y: Tensor, kernel: Tensor) -> Tensor:
        """`kernel`: (C, 1, *grid)."""
        convolved = self.convolve(y, kernel)
        return convolved if self.bias is None else convolved + self.bias.to(convolved.dtype)

    def convolve(self, y: Tensor, kernel: Tensor) -> Tensor:
        """The branch without its scalar."""
        return F.gelu(self.standardise(self.mixer(depthwise_convolution(kernel, y))))


class LocalBranches(nn.Module):
    """A block's local branches, each wired from a context to the features that its kernel convolves."""

    def __init__(self, config: TerminatorConfig, channels: int, pixels: Sequence[int], recipe: SlowRecipe) -> None:
        super().__init__()
        axes = len(pixels)
        self.all: list[LocalBranch] = []
        for i, (size, _) in enumerate(config.local_branches()):
            slow = build_local_slow_network(
                (size,) * axes,
                channels,
                hidden=config.local_hidden,
                layers=config.local_layers,
                recipe=recipe,
                context_channels=channels if config.local_context else None,
                learn_renormalisation=config.learn_renormalisation,
            )
            self.all.append(
                LocalBranch(channels, axes, slow, learn_scalar=config.learn_scalars, generator=recipe.generator)
            )
            self.add_module(str(i), self.all[-1])
        self.contexts, self.convolved = _ends([wiring for _, wiring in config.local_branches()])
        self.kernels = LocalKernels([(size,) * axes for size, _ in config.local_branches()], pixels)
        read = sorted(set(self.contexts)) if config.local_context else []
        self.context_mean = nn.ModuleDict({source: ContextMean() for source in read})

    def forward(self, sources: dict[str, Tensor], first: FirstLayer | None) -> list[Tensor]:
        """`sources`: Z, M and Hc, those that are needed, by their names in the wirings. → each branch's value."""
        kernels = self._generate(sources, first)
        return [
            branch(sources[name], kernel)
            for branch, name, kernel in zip(self.all, self.convolved, kernels, strict=True)
        ]

    def slow_networks(self) -> list[LocalSlowNetwork]:
        """Those that are no free kernels."""
        return [branch.slow for branch in self.all if isinstance(branch.slow, LocalSlowNetwork)]

    def _generate(self, sources: dict[str, Tensor], first: FirstLayer | None) -> list[Tensor]:
        means = {name: mean(sources[name]) for name, mean in self.context_mean.items()}
        # the kernels are few and multiply everything: float32 at least, whatever autocast would have
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            contexts = torch.cat([means[name] for name in self.contexts]) if means else None  # (n, pixels, C)
            if first is None:
                free = [branch.slow for branch in self.all if isinstance(branch.slow, FreeLocalKernel)]
                return self.kernels.free(free, contexts)
            kernels: list[Tensor] = self.kernels(self.slow_networks(), first, contexts)
            return kernels


def _ends(wirings: list[Wiring]) -> tuple[list[str], list[str]]:
    """The context and the convolved features of each wiring."""
    words = [wiring.value.split("_to_") for wiring in wirings]
    return [context for context, _ in words], [convolved for _, convolved in words]
