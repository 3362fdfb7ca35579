"""Fixed splits of a labelled set: the same in every run, whatever its seed."""

from __future__ import annotations

import torch
from torch import Tensor

SPLIT_SEED = 1797  # one for all sets and runs, so that no run ever trains on another's test images


def stratified_split(labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draw `count` of the images, the classes in their own proportions (largest remainders). → (drawn, rest).

    `labels`: (n); both answers are increasing indices into it. The same labels and count give the same answer, always.
    """
    sizes = torch.bincount(labels)
    share = sizes * count  # in units of 1/n images, so that remainders are exact
    quotas = share // len(labels)
    leftover = count - int(quotas.sum())
    quotas[(share % len(labels)).argsort(descending=True, stable=True)[:leftover]] += 1
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label, quota in enumerate(quotas.tolist()):
        members = (labels == label).nonzero().flatten()
        drawn[members[torch.randperm(len(members), generator=generator)[:quota]]] = True
    return drawn.nonzero().flatten(), (~drawn).nonzero().flatten()
