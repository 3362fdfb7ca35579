"""Random streams without state: every draw is a pure function of the run's seed and of what it is for."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def stream_seed(seed: int, *place: str | int) -> int:
    """A 63-bit seed for one purpose at one place, such as ("augment", epoch, step); unrelated to all others'."""
    name = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator_for(seed: int, *place: str | int) -> torch.Generator:
    """A CPU generator at the start of the stream."""
    return torch.Generator().manual_seed(stream_seed(seed, *place))


def epoch_order(images: int, *, seed: int, epoch: int) -> Tensor:
    """The order that an epoch sees the training images in: a permutation of 0 … images − 1, int64."""
    return torch.randperm(images, generator=generator_for(seed, "order", epoch))
