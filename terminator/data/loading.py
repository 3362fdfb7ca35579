"""From a data configuration to tensors: the three splits, and the statistics that standardise them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from terminator.data.config import DataConfig, Dataset
from terminator.data.digits import as_sequences, load_digits
from terminator.data.published import load_published
from terminator.data.splits import stratified_split

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
