"""From a data configuration to tensors: the three splits, and the statistics that standardise them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from terminator.data.config import DataConfig, Dataset
from terminator.data.hub import load_published

DIGITS_TEST_IMAGES = 360  # a fifth of 1,797; none is published apart


@dataclass(frozen=True)
class Split:
    """Images (n, C, H, W) or sequences (n, C, L), uint8, and labels (n), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Split:
        """The images at `indices`."""
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> Split:
        """The same split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """What a run trains on, chooses its epoch by and is judged by. `mean`, `std`: (C, 1, …), of the training pixels."""

    train: Split
    validation: Split
    test: Split
    mean: Tensor
    std: Tensor

    def standardise(self, images: Tensor) -> Tensor:
        """Per-channel standardisation by the training split's statistics. uint8 → float32, same shape."""
        return (images.float() - self.mean) / self.std

    def to(self, device: torch.device) -> Data:
        """The same data on `device`."""
        splits = (self.train.to(device), self.validation.to(device), self.test.to(device))
        return Data(*splits, self.mean.to(device), self.std.to(device))


def load(config: DataConfig, *, hold_out: bool = True) -> Data:
    """Load and split; every split is the same in all runs (spec §9.5).

    `hold_out=False` is the release's way: all published training images train, and the test split stands for
    validation too. Raises UserError, saying what to fetch and how, where the set is not on this machine.
    """
    published, test = _published(config)
    total = len(published) if config.facts.hub_name else len(published) + len(test)
    if hold_out:
        drawn, rest = stratified_split(published.labels, round(total * config.validation_fraction))
        train, validation = published.take(rest), published.take(drawn)
    else:
        train, validation = published, test
    mean, std = pixel_statistics(train.images)
    return Data(train, validation, test, mean, std)


def _published(config: DataConfig) -> tuple[Split, Split]:
    if config.facts.hub_name is not None:
        splits = load_published(config)
        return Split(*splits["train"]), Split(*splits["test"])
    images, labels = load_digits()
    if config.name is not Dataset.digits:
        images = as_sequences(images, permuted=config.name is Dataset.pdigits)
    drawn, rest = stratified_split(labels, DIGITS_TEST_IMAGES)
    digits = Split(images, labels)
    return digits.take(rest), digits.take(drawn)


def pixel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased standard deviation per channel, (C, 1, …) float32, from exact integer sums of uint8 pixels."""
    channels = images.transpose(0, 1).flatten(1)  # (C, n·pixels)
    counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels]).double()
    values = torch.arange(256, dtype=torch.float64)
    mean = counts @ values / channels.shape[1]
    variance = counts @ values.square() / channels.shape[1] - mean.square()
    shape = (-1,) + (1,) * (images.dim() - 2)
    return mean.float().reshape(shape), variance.sqrt().float().reshape(shape)


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


def augment(images: Tensor, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator) -> Tensor:
    """Crop each image at random from itself with symmetric padding, and flip half of them. (B, C, H, W) → same.

    `generator` draws on the CPU, whatever the images' device, so that every device sees the same crops. Two shifts and
    a flip are drawn for each image even if one of them is off: switching a flip on leaves the crops as they were.
    """
    batch, _, height, width = images.shape
    shifts = torch.randint(-crop_padding, crop_padding + 1, (2, batch, 1), generator=generator)
    flips = torch.rand(batch, 1, generator=generator) < 0.5
    rows = mirror(torch.arange(height) + shifts[0], height)  # (B, H)
    columns = mirror(torch.arange(width) + shifts[1], width)  # (B, W)
    if horizontal_flip:
        columns = torch.where(flips, columns.flip(1), columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).flatten(1).to(images.device)  # (B, H·W)
    return images.flatten(2).gather(2, pixels[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def mirror(positions: Tensor, size: int) -> Tensor:
    """Where a position up to `size` outside 0 … size − 1 lies under symmetric padding: the edge pixel is repeated."""
    positions = torch.where(positions < 0, -positions - 1, positions)
    return torch.where(positions >= size, 2 * size - 1 - positions, positions)


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
