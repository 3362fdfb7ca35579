"""The network families to compare with: their sizes. Imports nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass

from terminator.errors import UserError
from terminator.model.config import Architecture, ModelConfig


@dataclass(frozen=True)
class ComparisonConfig(ModelConfig):
    """What the families to compare with have: `depth` layers or blocks, `channels` wide at width 1.

    Raises UserError for a size below 1, and for a width that is not positive and finite.
    """

    depth: int = 1
    channels: int = 1

    def __post_init__(self) -> None:
        self._check_sizes("depth", "channels")
        if not 0 < self.width < float("inf"):
            raise UserError(f"model.width={self.width}: must be positive and finite")

    def _check_sizes(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise UserError(f"model.{name}={getattr(self, name)}: must be at least 1")

    def scaled(self, channels: int) -> int:
        """`channels` at this width, at least one."""
        return max(round(channels * self.width), 1)


@dataclass(frozen=True)
class ResNetConfig(ComparisonConfig):
    """A residual network for small images (He et al. 2016, 1512.03385, §4.2): three stages of n blocks, 6n + 2 layers.

    Stages have `channels`, twice and four times as many. Raises UserError for another depth.
    """

    architecture: Architecture = Architecture.resnet
    depth: int = 20
    channels: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 8 or self.depth % 6 != 2:
            raise UserError(f"model.depth={self.depth}: a ResNet's must be 6n + 2: 8, 14, 20, 32, 44, 56, 110, …")

    def stage_blocks(self) -> int:
        """Residual blocks of a stage; each has two layers."""
        return (self.depth - 2) // 6

    def stage_channels(self) -> list[int]:
        """Each stage's channels."""
        return [self.scaled(self.channels * 2**stage) for stage in range(3)]


@dataclass(frozen=True)
class LargeKernelConfig(ComparisonConfig):
    """A ConvMixer without patches (Trockman and Kolter 2022, 2201.09792). Raises UserError for an even `kernel`."""

    architecture: Architecture = Architecture.large_kernel_cnn
    depth: int = 8
    channels: int = 128
    kernel: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UserError(f"model.kernel={self.kernel}: must be odd and positive")


@dataclass(frozen=True)
class ContinuousKernelConfig(ComparisonConfig):
    """A small CCNN (Knigge et al. 2023, 2206.03398) whose kernels are as large as the input.

    `kernel_hidden`, `kernel_layers`, `omega_0`: the network that makes them, a SIREN as in CKConv (2102.02611).
    Raises UserError for a value outside its field's rule.
    """

    architecture: Architecture = Architecture.ckcnn
    depth: int = 4
    channels: int = 110
    kernel_hidden: int = 32
    kernel_layers: int = 2
    omega_0: float = 10.0  # below the Nyquist rate of an 8×8 grid, 11 rad per unit
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes("kernel_hidden", "kernel_layers")
        if not 0 < self.omega_0 < float("inf"):
            raise UserError(f"model.omega_0={self.omega_0}: must be positive and finite")
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout={self.dropout}: must be at least 0, below 1")
