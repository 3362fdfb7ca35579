"""How good a network is on a split, standardised as the configuration says (§9.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.config import Evaluation, Precision, TrainingConfig
from terminator.data.splits import Data, Split
from terminator.model.normalisation import gather_population_statistics
from terminator.model.ops import at_least_float32


class Score(NamedTuple):
    """Mean cross-entropy, without label smoothing, and the fraction of images classified correctly.

    `correct`: (images,) bool, which these are, in the split's order; None where it was not kept.
    """

    loss: float
    accuracy: float
    correct: Tensor | None = None


def evaluate(
    network: nn.Module,
    split: Split,
    data: Data,
    config: TrainingConfig,
    *,
    predict: Callable[[Tensor], tuple[Tensor, object]],
    between_batches: Callable[[], None],
) -> Score:
    """Evaluate `network` on `split`; `predict` is the network itself or its compiled form. Leaves evaluation mode on.

    With `population`, its statistics come from one pass over the training images first, unaugmented.
    """
    network.eval()
    with torch.no_grad(), autocast(data.device, config.precision), _fixed_kernels(network):
        if config.evaluation is Evaluation.population:
            gather_population_statistics(network, _batches(data, config.batch_size, between_batches))
        return _score(predict, split, data, config.evaluation_batch_size, between_batches)


def _fixed_kernels(network: nn.Module) -> AbstractContextManager[None]:
    """Hyper-kernels don't depend on images: they are generated once an evaluation."""
    fixed: AbstractContextManager[None] = getattr(network, "fixed_kernels", nullcontext)()
    return fixed


def _batches(data: Data, largest: int, between_batches: Callable[[], None]) -> Iterator[Tensor]:
    for batch in data.on_device(data.train.even_batches(largest)):
        yield data.standardise(batch.images)
        between_batches()


def _score(
    predict: Callable[[Tensor], tuple[Tensor, object]],
    split: Split,
    data: Data,
    largest_batch: int,
    between_batches: Callable[[], None],
) -> Score:
    loss = torch.zeros((), dtype=torch.float64, device=data.device)
    correct: list[Tensor] = []
    for batch in data.on_device(split.even_batches(largest_batch)):
        logits = at_least_float32(predict(data.standardise(batch.images))[0])
        loss += F.cross_entropy(logits, batch.labels, reduction="none").double().sum()
        correct.append(logits.argmax(1) == batch.labels)
        between_batches()
    right = torch.cat(correct)
    return Score(loss.item() / len(split), right.sum().item() / len(split), right)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context that a forward pass runs in."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.bfloat16)
