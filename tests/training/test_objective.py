"""The objective, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from terminator.config import ObjectiveConfig, TrainingConfig
from terminator.errors import UserError
from terminator.training.step import label_smoothed_cross_entropy, total_objective


def test_label_smoothing_by_hand() -> None:
    # softmax = (3/4, 1/4); ε = 0.2 on 2 classes: q = (0.9, 0.1) for class 0, (0.1, 0.9) for class 1.
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]], dtype=torch.float64)
    first = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4)
    second = -0.1 * math.log(3 / 4) - 0.9 * math.log(1 / 4)
    loss = label_smoothed_cross_entropy(logits, torch.tensor([0, 1]), epsilon=0.2)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-12)


def test_addends_are_weighted() -> None:
    objective = total_objective(
        torch.tensor(2.0), torch.tensor(3.0), torch.tensor(100.0), slow_loss_weight=0.5, l2=0.01
    )
    assert [addend.item() for addend in objective] == pytest.approx([4.5, 2.0, 1.5, 1.0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label_smoothing": 1.0}, r"^objective.label_smoothing=1.0: must be in \[0, 1\)$"),
        ({"penalty": -1e-5}, r"^objective.penalty=-1e-05: must be 0 or a positive number$"),
        ({"slow_loss_weight": float("inf")}, r"^objective.slow_loss_weight=inf: "),
    ],
)
def test_bad_values(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ObjectiveConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["epochs", "batch_size", "evaluation_batch_size"])
def test_bad_training_values(name: str) -> None:
    with pytest.raises(UserError, match=f"^training.{name}=0: must be at least 1$"):
        TrainingConfig(**{name: 0})  # type: ignore[arg-type]


def test_warm_up_is_not_negative() -> None:
    with pytest.raises(UserError, match=r"^training.warmup_epochs=-1.0: must not be negative$"):
        TrainingConfig(warmup_epochs=-1.0)
