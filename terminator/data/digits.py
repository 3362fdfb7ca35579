"""Scikit-learn's embedded handwritten digits, as images and as pixel sequences."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PERMUTATION_SEED = 64  # one for all runs: a permuted set is one data set


def load_digits() -> tuple[Tensor, Tensor]:
    """The 1,797 digits: images (1797, 1, 8, 8), uint8 from 0 to 16, and labels (1797), int64.

    The file is read where scikit-learn keeps it: importing `sklearn.datasets` takes over a second, every run.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=",", dtype=np.uint8))  # (1797, 64 + 1)
    return rows[:, :64].reshape(-1, 1, 8, 8).contiguous(), rows[:, 64].long()


def as_sequences(images: Tensor, *, permuted: bool) -> Tensor:
    """Pixels in reading order, or in one fixed random order. (n, C, H, W) → (n, C, H·W)."""
    sequences = images.flatten(2)
    if not permuted:
        return sequences
    order = torch.randperm(sequences.shape[2], generator=torch.Generator().manual_seed(PERMUTATION_SEED))
    return sequences[:, :, order]
