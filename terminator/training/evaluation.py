"""How good a network is on a split, standardised as the configuration says (spec §9.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from terminator.data.loading import Data, Split
from terminator.training.config import Precision


class Score(NamedTuple):
    """Mean cross-entropy, without label smoothing, and the share of images put into their class."""

    loss: float
    accuracy: float


def even_batches(split: Split, largest: int) -> list[Split]:
    """The split in order, in as few batches of at most `largest` as there can be, alike in size to one image.

    Even, as a last batch of a few images would be standardised by their statistics alone.
    """
    batches = -(-len(split) // largest)
    images, labels = split.images.tensor_split(batches), split.labels.tensor_split(batches)
    return [Split(*pair) for pair in zip(images, labels, strict=True)]


@torch.no_grad()
def evaluate(
    network: Callable[[Tensor], tuple[Tensor, object]],
    split: Split,
    data: Data,
    *,
    largest_batch: int,
    precision: Precision,
    between_batches: Callable[[], None],
) -> Score:
    """Judge `network`, which answers (logits, …) and is in evaluation mode, on every image of `split` once."""
    loss = torch.zeros((), dtype=torch.float64, device=split.images.device)
    correct = torch.zeros((), dtype=torch.int64, device=split.images.device)
    for batch in even_batches(split, largest_batch):
        with autocast(split.images.device, precision):
            logits = at_least_float32(network(data.standardise(batch.images))[0])
        loss += F.cross_entropy(logits, batch.labels, reduction="none").double().sum()
        correct += (logits.argmax(1) == batch.labels).sum()
        between_batches()
    return Score(loss.item() / len(split), correct.item() / len(split))


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The context that a forward pass runs in."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.bfloat16)


def at_least_float32(logits: Tensor) -> Tensor:
    """Logits in a format that a loss can be taken in."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
