"""Where a run stands, and its plain form in a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from terminator.training.evaluation import Score


@dataclass
class Best:
    """The best epoch so far, counted from 1, and its weights."""

    epoch: int
    score: Score
    weights: dict[str, Tensor]


@dataclass
class State:
    """What changes while a run goes on, beside its network and optimizer.

    `epoch`: whole epochs done; `step`: steps done of the next; `measures`: what each of those steps measured,
    (steps_per_epoch, measures) float64. An epoch's means are taken when it is over, all at once, so an epoch that
    was stopped halfway comes to the same bits as one that was not. `images` were trained on in `train_seconds`.
    """

    measures: Tensor
    epoch: int = 0
    step: int = 0
    best: Best | None = None
    epoch_seconds: float = 0.0
    train_seconds: float = 0.0
    images: int = 0
    peak_memory_bytes: int = 0

    @classmethod
    def at_start(cls, steps_per_epoch: int, measures: int, device: torch.device) -> State:
        """Nothing done yet."""
        return cls(torch.zeros(steps_per_epoch, measures, dtype=torch.float64, device=device))

    @classmethod
    def from_plain(cls, plain: dict[str, Any], device: torch.device) -> State:
        """The inverse of `to_plain`."""
        best = plain["best"] and Best(plain["best"]["epoch"], Score(*plain["best"]["score"]), plain["best"]["weights"])
        return cls(**{**plain, "best": best, "measures": plain["measures"].to(device)})

    def to_plain(self) -> dict[str, Any]:
        """Tensors, numbers, lists and dicts alone."""
        best = self.best and {"epoch": self.best.epoch, "score": list(self.best.score), "weights": self.best.weights}
        return {**vars(self), "best": best}

    def offer(self, score: Score, weights: dict[str, Tensor]) -> None:
        """Keep the epoch just done if it is the best: by accuracy, then by loss; a tie leaves the earlier one."""
        if self.best is None or (score.accuracy, -score.loss) > (self.best.score.accuracy, -self.best.score.loss):
            copies = {name: weight.detach().clone() for name, weight in weights.items()}
            self.best = Best(self.epoch + 1, score, copies)
