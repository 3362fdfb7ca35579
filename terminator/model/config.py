"""What a network can be: one typed field per ablation axis (spec §11). Imports nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Architecture(Enum):
    """The network family; the word that selects it in a record."""

    terminator = "terminator"


class Gate(Enum):
    """The gating unit behind F (spec §4)."""

    rgu = "rgu"
    glu = "glu"
    mixer = "mixer"


class SelfGate(Enum):
    """The gate of the branch `si_glu` (spec §4)."""

    si_glu = "si_glu"
    glu = "glu"
    none = "none"


class Wiring(Enum):
    """A local branch's context → the features its kernel convolves (spec §6)."""

    z_to_hc = "z_to_hc"
    hc_to_z = "hc_to_z"
    m_to_z = "m_to_z"
    z_to_m = "z_to_m"


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
    """What every network family has."""

    architecture: Architecture = Architecture.terminator


@dataclass(frozen=True)
class TerminatorConfig(ModelConfig):
    """A Terminator (spec §6–7). The defaults are the release's."""

    channels: list[int] = field(default_factory=lambda: [12, 36, 72, 144, 288])  # each block's output
    width: float = 1.0  # multiplies `channels`, rounded to the 12 groups of G-IBS
    branches: Branches = field(default_factory=Branches)
    local_kernels: list[int] = field(default_factory=lambda: [3, 9, 5, 7])
    local_wiring: list[Wiring] = field(
        default_factory=lambda: [Wiring.z_to_hc, Wiring.hc_to_z, Wiring.m_to_z, Wiring.z_to_m]
    )  # local branch i takes entry i modulo the length
    previous_blocks: list[list[int]] = field(default_factory=lambda: [[], [], [0], [1], [2, 1]])
    gate: Gate = Gate.rgu
    self_gate: SelfGate = SelfGate.si_glu
    omega_0: float = 2000.0
    global_layers: list[int] = field(default_factory=lambda: [3, 2])  # block i takes entry i, later ones the last
    global_hidden: int = 64
    local_hidden: int = 32
    channel_hidden: int = 32
    interaction_channel_hidden: int = 16
    interaction_spatial_hidden: int = 64
    dropout: list[float] = field(default_factory=lambda: [0.0, 0.05])  # block i takes entry i, later ones the last
