"""How a network is trained and judged (spec §8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class SlowLoss(Enum):
    """The slow neural loss (spec §8)."""

    off = "off"
    channel_sum = "channel_sum"
    tile = "tile"


class OptimizerName(Enum):
    """The update rule."""

    kar3 = "kar3"
    kar2 = "kar2"
    adamw = "adamw"


class Protocol(Enum):
    """What chooses the epoch that is reported: a held-out split, or, as in the release, the test split (optimistic)."""

    holdout = "holdout"
    release = "release"


@dataclass(frozen=True)
class ObjectiveConfig:
    """loss = cross-entropy + slow_loss_weight · slow loss + penalty."""

    label_smoothing: float = 0.09
    slow_loss: SlowLoss = SlowLoss.channel_sum
    slow_loss_weight: float = 1.0
    penalty: float = 5e-5


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule."""

    name: OptimizerName = OptimizerName.kar3
    lr: float = 1.215e-3
    betas: list[float] = field(default_factory=lambda: [0.5, 0.95])
    weight_decay: float = 0.0


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in what batches, and which split chooses the epoch. The rate warms up linearly, then falls as a cosine."""

    epochs: int = 100
    warmup_epochs: float = 8.0
    batch_size: int = 64
    protocol: Protocol = Protocol.holdout
