"""What a Terminator can be: one typed field per ablation axis (docs/architecture.md §11). Without torch, so that a plan
and tab completion are quick; the other networks' configurations stand with them in terminator/model/networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from terminator.errors import UserError

GROUPS = 12  # of G-IBS (§3)


class Gate(Enum):
    """The gating unit behind F (§4)."""

    rgu = "rgu"
    glu = "glu"
    mixer = "mixer"


class SelfGate(Enum):
    """The gate of the branch `si_glu` (§4). With `none` that branch is O itself."""

    si_glu = "si_glu"
    glu = "glu"
    none = "none"


class Wiring(Enum):
    """A local branch's context → the features its kernel convolves (§6)."""

    z_to_hc = "z_to_hc"
    hc_to_z = "hc_to_z"
    m_to_z = "m_to_z"
    z_to_m = "z_to_m"

    @property
    def ends(self) -> tuple[str, str]:
        """The names of the context and of the convolved features."""
        context, convolved = self.value.split("_to_")
        return context, convolved


# What follows the bottleneck (§3); the two norms have an affine part. Made by a call because `is` is a keyword.
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
    """The ⊗ of K̂ ⊗ Y (§2). `auto`: matmul on images, hadamard on sequences."""

    auto = "auto"
    matmul = "matmul"
    hadamard = "hadamard"
    fft = "fft"


class SlowNetworkKind(Enum):
    """What makes kernels out of coordinates (§1, §11)."""

    sine_mfn = "sine_mfn"
    siren = "siren"
    fourier_mlp = "fourier_mlp"
    free = "free"


@dataclass(frozen=True)
class Branches:
    """The rows of §6 that feed a block's bottleneck. With all of them off the bottleneck reads Z itself."""

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
    """Of any network. `architecture`: its file in terminator/model/networks; `width` multiplies its channels."""

    architecture: str = "terminator"
    width: float = 1.0

    def canonical(self, pixels: Sequence[int]) -> dict[str, Any]:
        """The settings by name, equivalent ones resolved: on images of `pixels`, equal for equal networks."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def outside_modules(self) -> list[str]:
        """Modules outside the suite (dotted names) that the network is made of."""
        return []


def require(holds: bool, name: str, value: object, rule: str) -> None:
    """Raise UserError where a setting breaks its rule."""
    if not holds:
        raise UserError(f"model.{name}={value}: {rule}")


@dataclass(frozen=True)
class TerminatorConfig(ModelConfig):
    """A Terminator (§6–7). The defaults are the release's. Widened channels are rounded to the 12 groups of G-IBS.

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
    learn_renormalisation: bool = False  # α and β (§9.4)
    learn_scalars: bool = True  # the scalar biases after blocks and local branches, else left at 0 (§9.4)
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
            require(getattr(self, name) >= 1, name, getattr(self, name), "must be at least 1")
        for name in ("width", "omega_0"):
            require(0 < getattr(self, name) < float("inf"), name, getattr(self, name), "must be positive and finite")
        for name in ("channels", "local_wiring", "global_layers", "dropout"):
            require(len(getattr(self, name)) > 0, name, [], "must have at least one entry")
        odd = all(size > 0 and size % 2 == 1 for size in self.local_kernels)
        require(odd, "local_kernels", self.local_kernels, "sizes must be odd and positive")
        require(min(self.global_layers) >= 1, "global_layers", self.global_layers, "entries must be at least 1")
        rates = all(0 <= rate < 1 for rate in self.dropout)
        require(rates, "dropout", self.dropout, "rates must be at least 0, below 1")
        paired = all(getattr(self, name) % 2 == 0 for name in _HIDDEN_SIZES)
        rule = f"hidden sizes ({', '.join(_HIDDEN_SIZES)}) must be even, one half for sines and one for cosines"
        fourier = self.slow_network is SlowNetworkKind.fourier_mlp
        require(paired or not fourier, "slow_network", self.slow_network.value, rule)
        self._check_channels()
        self._check_previous_blocks()

    def _check_channels(self) -> None:
        require(min(self.channels) >= 1, "channels", self.channels, "entries must be at least 1")
        grouped = self.standardisation in (Standardisation.g_ibs, Standardisation.group_norm)
        rule = f"entries must divide by {GROUPS} with standardisation={self.standardisation.value}"
        require(not grouped or all(n % GROUPS == 0 for n in self.channels), "channels", self.channels, rule)

    def _check_previous_blocks(self) -> None:
        for block, sources in enumerate(self.previous_blocks[: self.depth]):
            choices = ", ".join(map(str, range(block))) or "none for the first block"
            rule = f"entry {block} can name earlier blocks only ({choices})"
            earlier = all(0 <= source < block for source in sources)
            require(earlier, "previous_blocks", self.previous_blocks, rule)

    def canonical(self, pixels: Sequence[int]) -> dict[str, Any]:
        blocks, local = range(self.depth), self.local_branches()
        previous = [self.block_previous(block) for block in blocks]
        return super().canonical(pixels) | {
            "width": 1.0,
            "channels": self.block_channels(),
            "dropout": [self.block_dropout(block) for block in blocks],
            "global_layers": [self.block_global_layers(block) for block in blocks],
            "previous_blocks": previous,
            "local_kernels": [size for size, _ in local],
            "local_wiring": [wiring for _, wiring in local],
            "branches": replace(self.branches, previous=any(previous), local=bool(local)),
            "product": self.product_on(pixels),
        }

    def product_on(self, pixels: Sequence[int]) -> Product:
        """The ⊗ on images or sequences of this size; never `auto`."""
        if self.product is not Product.auto:
            return self.product
        return Product.hadamard if len(pixels) == 1 else Product.matmul

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
