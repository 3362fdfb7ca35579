"""What a network can be: one typed field per ablation axis (spec §11). Imports nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from terminator.errors import UserError

GROUPS = 12  # of G-IBS (spec §3)


class Architecture(Enum):
    """The network family; the word that selects it in a record."""

    terminator = "terminator"
    resnet = "resnet"
    large_kernel_cnn = "large_kernel_cnn"
    ckcnn = "ckcnn"


class Gate(Enum):
    """The gating unit behind F (spec §4)."""

    rgu = "rgu"
    glu = "glu"
    mixer = "mixer"


class SelfGate(Enum):
    """The gate of the branch `si_glu` (spec §4). With `none` that branch is O itself."""

    si_glu = "si_glu"
    glu = "glu"
    none = "none"


class Wiring(Enum):
    """A local branch's context → the features its kernel convolves (spec §6)."""

    z_to_hc = "z_to_hc"
    hc_to_z = "hc_to_z"
    m_to_z = "m_to_z"
    z_to_m = "z_to_m"


# What follows the bottleneck (spec §3); the two norms have an affine part. Made by a call because `is` is a keyword.
Standardisation = Enum(
    "Standardisation",
    {
        "g_ibs": "g_ibs",
        "bs": "bs",
        "is": "is",
        "batch_norm": "batch_norm",
        "group_norm": "group_norm",
        "none": "none",
    },
)


class Product(Enum):
    """The ⊗ of K̂ ⊗ Y (spec §2). `auto`: matmul on images, hadamard on sequences."""

    auto = "auto"
    matmul = "matmul"
    hadamard = "hadamard"
    fft = "fft"


class SlowNetworkKind(Enum):
    """What makes kernels out of coordinates (spec §1, §11)."""

    sine_mfn = "sine_mfn"
    siren = "siren"
    fourier_mlp = "fourier_mlp"
    free = "free"


@dataclass(frozen=True)
class Branches:
    """The rows of spec §6 that feed a block's bottleneck. With all of them off the bottleneck reads Z itself."""

    gated: bool = True
    si_glu: bool = True
    global_gated: bool = True
    global_mixed: bool = True
    global_channel: bool = True
    local: bool = True
    interaction: bool = True
    previous: bool = True


@dataclass(frozen=True)
class ModelConfig:
    """What every network family has. `width` multiplies its channels."""

    architecture: Architecture = Architecture.terminator
    width: float = 1.0


@dataclass(frozen=True)
class TerminatorConfig(ModelConfig):
    """A Terminator (spec §6–7). The defaults are the release's. Widened channels are rounded to the 12 groups of G-IBS.

    Of a list with one entry a block, blocks past its end take the last entry (`previous_blocks`: read none).
    Raises UserError for a value outside its field's rule.
    """

    depth: int = 5
    channels: list[int] = field(default_factory=lambda: [12, 36, 72, 144, 288])  # each block's output
    branches: Branches = field(default_factory=Branches)
    local_kernels: list[int] = field(default_factory=lambda: [3, 9, 5, 7])
    local_wiring: list[Wiring] = field(
        default_factory=lambda: [Wiring.z_to_hc, Wiring.hc_to_z, Wiring.m_to_z, Wiring.z_to_m]
    )  # local branch i takes entry i modulo the length
    previous_blocks: list[list[int]] = field(default_factory=lambda: [[], [], [0], [1], [2, 1]])
    gate: Gate = Gate.rgu
    self_gate: SelfGate = SelfGate.si_glu
    standardisation: Standardisation = Standardisation.g_ibs
    product: Product = Product.auto
    global_context: bool = True  # K̂ = Z ⊙ K_g, else K_g alone
    local_context: bool = True  # local kernels see their context, else coordinates alone
    slow_network: SlowNetworkKind = SlowNetworkKind.sine_mfn
    omega_0: float = 2000.0
    learn_renormalisation: bool = False  # α and β (spec §9.4)
    learn_scalars: bool = True  # the scalar biases after blocks and local branches, else left at 0 (spec §9.4)
    residual: bool = False  # adds Z, its channels tiled, to a block's output
    global_layers: list[int] = field(default_factory=lambda: [3, 2])
    global_hidden: int = 64
    local_layers: int = 2
    local_hidden: int = 32
    channel_layers: int = 2
    channel_hidden: int = 32
    interaction_layers: int = 2
    interaction_channel_hidden: int = 16
    interaction_spatial_hidden: int = 64
    dropout: list[float] = field(default_factory=lambda: [0.0, 0.05])

    def __post_init__(self) -> None:
        for name in ("depth", *_LAYERS, *_HIDDEN_SIZES):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("width", "omega_0"):
            _require(0 < getattr(self, name) < float("inf"), name, getattr(self, name), "must be positive and finite")
        for name in ("channels", "local_wiring", "global_layers", "dropout"):
            _require(len(getattr(self, name)) > 0, name, [], "must have at least one entry")
        _require(
            all(size > 0 and size % 2 == 1 for size in self.local_kernels),
            "local_kernels",
            self.local_kernels,
            "sizes must be odd and positive",
        )
        _require(min(self.global_layers) >= 1, "global_layers", self.global_layers, "entries must be at least 1")
        _require(
            all(0 <= rate < 1 for rate in self.dropout), "dropout", self.dropout, "rates must be at least 0, below 1"
        )
        _require(
            self.slow_network is not SlowNetworkKind.fourier_mlp
            or all(getattr(self, name) % 2 == 0 for name in _HIDDEN_SIZES),
            "slow_network",
            self.slow_network.value,
            f"hidden sizes ({', '.join(_HIDDEN_SIZES)}) must be even, one half for sines and one for cosines",
        )
        self._check_channels()
        self._check_previous_blocks()

    def _check_channels(self) -> None:
        _require(min(self.channels) >= 1, "channels", self.channels, "entries must be at least 1")
        if self.standardisation in (Standardisation.g_ibs, Standardisation.group_norm):
            _require(
                all(count % GROUPS == 0 for count in self.channels),
                "channels",
                self.channels,
                f"entries must divide by {GROUPS} with standardisation={self.standardisation.value}",
            )

    def _check_previous_blocks(self) -> None:
        for block, sources in enumerate(self.previous_blocks[: self.depth]):
            _require(
                all(0 <= source < block for source in sources),
                "previous_blocks",
                self.previous_blocks,
                f"entry {block} can name earlier blocks only ({_choices(block)})",
            )

    def block_channels(self) -> list[int]:
        """Each block's output channels, at this width."""
        wide = [max(round(count * self.width / GROUPS), 1) * GROUPS for count in self.channels]
        chosen = self.channels if self.width == 1 else wide
        return [chosen[min(block, len(chosen) - 1)] for block in range(self.depth)]

    def block_previous(self, block: int) -> list[int]:
        """The earlier blocks whose outputs block number `block` reads."""
        if not self.branches.previous or block >= len(self.previous_blocks):
            return []
        return self.previous_blocks[block]

    def block_global_layers(self, block: int) -> int:
        """Layers of the block's global slow network."""
        return self.global_layers[min(block, len(self.global_layers) - 1)]

    def block_dropout(self, block: int) -> float:
        """The block's rate of channel dropout."""
        return self.dropout[min(block, len(self.dropout) - 1)]

    def local_branches(self) -> list[tuple[int, Wiring]]:
        """Kernel size and wiring of each local branch."""
        if not self.branches.local:
            return []
        return [(size, self.local_wiring[i % len(self.local_wiring)]) for i, size in enumerate(self.local_kernels)]


_LAYERS = ("local_layers", "channel_layers", "interaction_layers")
_HIDDEN_SIZES = (
    "global_hidden",
    "local_hidden",
    "channel_hidden",
    "interaction_channel_hidden",
    "interaction_spatial_hidden",
)


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise UserError(f"model.{name}={value}: {rule}")


def _choices(block: int) -> str:
    return "none for the first block" if block == 0 else ", ".join(str(source) for source in range(block))


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
