"""What is minimised: label-smoothed cross-entropy + w · slow neural loss + penalty (spec §8)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


class Objective(NamedTuple):
    """The loss and its three addends, each already weighted; scalars."""

    loss: Tensor
    cross_entropy: Tensor
    slow_loss: Tensor
    penalty: Tensor


def label_smoothed_cross_entropy(logits: Tensor, targets: Tensor, epsilon: float) -> Tensor:
    """−Σ_k q_k log softmax(logits)_k, q = (1−ε)·one-hot + ε/classes; batch mean. (B, classes), (B) → scalar."""
    return F.cross_entropy(logits, targets, label_smoothing=epsilon)


def total_objective(
    cross_entropy: Tensor, slow_loss: Tensor, penalty: Tensor, *, slow_loss_weight: float, l2: float
) -> Objective:
    """Weigh and add the three addends (spec §8); scalars. `penalty` is the sum of norms, without its factor l2."""
    weighted_slow_loss, weighted_penalty = slow_loss_weight * slow_loss, l2 * penalty
    loss = cross_entropy + weighted_slow_loss + weighted_penalty
    return Objective(loss, cross_entropy, weighted_slow_loss, weighted_penalty)
