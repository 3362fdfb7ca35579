"""How a network is trained and judged (spec §8)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from terminator.errors import UserError


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
    sgd = "sgd"


BETAS = {OptimizerName.kar3: 2, OptimizerName.kar2: 1, OptimizerName.adamw: 2, OptimizerName.sgd: 1}


class Protocol(Enum):
    """What chooses the epoch that is reported: a held-out split, or, as in the release, the test split (optimistic)."""

    holdout = "holdout"
    release = "release"


class Evaluation(Enum):
    """Whose statistics standardise at evaluation: the evaluation batch's own (release), or the training data's."""

    batch = "batch"
    population = "population"


class Precision(Enum):
    """The number format of the forward pass; parameters and their updates stay in float32."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def _check(holds: bool, key: str, value: object, rule: str) -> None:
    if not holds:
        raise UserError(f"{key}={value}: {rule}")


@dataclass(frozen=True)
class ObjectiveConfig:
    """loss = cross-entropy + slow_loss_weight · slow loss + penalty."""

    label_smoothing: float = 0.09
    slow_loss: SlowLoss = SlowLoss.channel_sum
    slow_loss_weight: float = 1.0
    penalty: float = 5e-5

    def __post_init__(self) -> None:
        _check(0 <= self.label_smoothing < 1, "objective.label_smoothing", self.label_smoothing, "must be in [0, 1)")
        for name in ("slow_loss_weight", "penalty"):
            value = getattr(self, name)
            _check(0 <= value < math.inf, f"objective.{name}", value, "must be 0 or a positive number")


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule.

    `betas`: decay rates of the moving averages, as many as the rule has: Kar3 and AdamW two, Kar2
    one, SGD one (its momentum).
    """

    name: OptimizerName = OptimizerName.kar3
    lr: float = 1.215e-3
    betas: list[float] = field(default_factory=lambda: [0.5, 0.95])
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        count = BETAS[self.name]
        rule = f"{self.name.value} takes {count}, each in [0, 1)"
        fitting = len(self.betas) == count and all(0 <= beta < 1 for beta in self.betas)
        _check(fitting, "optimizer.betas", list(self.betas), rule)
        _check(0 < self.lr < math.inf, "optimizer.lr", self.lr, "must be a positive number")
        _check(0 <= self.weight_decay < math.inf, "optimizer.weight_decay", self.weight_decay, "must not be negative")
        decays = self.name in (OptimizerName.adamw, OptimizerName.sgd)
        rule = f"{self.name.value} has no weight decay; it must be 0 (adamw and sgd have one)"
        _check(decays or self.weight_decay == 0, "optimizer.weight_decay", self.weight_decay, rule)


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in what batches and number format, and which split chooses the epoch.

    The learning rate warms up linearly over `warmup_epochs`, then falls to 0 as a cosine, per step.
    `evaluation_batch_size` bounds the batches that a split is evaluated in: they are cut as evenly as possible, in a
    fixed order. With `evaluation` at `batch` it changes results: each batch brings its own statistics (spec §9.2).
    """

    epochs: int = 100
    warmup_epochs: float = 8.0
    batch_size: int = 64
    protocol: Protocol = Protocol.holdout
    evaluation: Evaluation = Evaluation.batch
    evaluation_batch_size: int = 256
    precision: Precision = Precision.float32
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluation_batch_size"):
            value = getattr(self, name)
            _check(value >= 1, f"training.{name}", value, "must be at least 1")
        _check(0 <= self.warmup_epochs < math.inf, "training.warmup_epochs", self.warmup_epochs, "must not be negative")
