"""From a data configuration to tensors: the three splits, and the statistics that standardise them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from terminator.data.config import DataConfig, DataFormat, PixelOrder
from terminator.errors import UserError

PIECE = 4096  # images that are copied or counted at once


@dataclass(frozen=True)
class Split:
    """Images (n, C, H, W) or sequences (n, C, L), uint8 or float32, and labels (n), int64.

    They are rows of the `stored` ones, which splits share: all of them, or those that `rows` (n) lists. What is stored
    may be mapped from a file that is larger than the memory; only what `images` is asked for is read.
    """

    stored: Tensor
    labels: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """All of them, in memory where they are not all that are stored."""
        return self.stored if self.rows is None else self.stored[self.rows]

    def take(self, indices: Tensor) -> Split:
        """The images at `indices`."""
        return Split(self.stored, self.labels[indices], indices if self.rows is None else self.rows[indices])

    def even_batches(self, largest: int) -> list[Split]:
        """The split in order, in as few batches of at most `largest` as there can be, alike in size to one image.

        Even, as a last batch of a few images would be standardised by their statistics alone.
        """
        count = -(-len(self) // largest)
        labels = self.labels.tensor_split(count)
        if self.rows is None:
            return [Split(*pair) for pair in zip(self.stored.tensor_split(count), labels, strict=True)]
        return [Split(self.stored, *pair) for pair in zip(labels, self.rows.tensor_split(count), strict=True)]

    def to(self, device: torch.device) -> Split:
        """The same split on `device`."""
        if device == self.stored.device:
            return self
        images = torch.empty((len(self), *self.stored.shape[1:]), dtype=self.stored.dtype, device=device)
        for place, piece in zip(images.tensor_split(-(-len(self) // PIECE)), self.even_batches(PIECE), strict=True):
            place.copy_(piece.images)
        return Split(images, self.labels.to(device))


@dataclass(frozen=True)
class Data:
    """What a run trains on, chooses its epoch by and is tested on. `mean`, `std`: (C, 1, …), of the training pixels."""

    train: Split
    validation: Split
    test: Split
    mean: Tensor
    std: Tensor

    def standardise(self, images: Tensor) -> Tensor:
        """Per-channel standardisation by the training split's statistics. uint8 or float32 → float32, same shape."""
        return (images.float() - self.mean) / self.std

    def to(self, device: torch.device) -> Data:
        """The same data on `device`."""
        splits = (self.train.to(device), self.validation.to(device), self.test.to(device))
        return Data(*splits, self.mean.to(device), self.std.to(device))


def load(config: DataConfig, *, hold_out: bool = True, split_seed: int = 0) -> Data:
    """Load and split; runs with the same `split_seed` have the same splits (§9.5).

    `hold_out=False` is the release's way: all published training images train, and the test split stands for
    validation too. Raises UserError, saying what to fetch and how, where the set is not on this machine, where a
    value is infinite or not a number, and where there is nothing to draw for a `split_seed` other than 0.
    """
    splits = {name: Split(*pair) for name, pair in _reader(config.format).read(config).items()}
    for name, each in splits.items():
        check_finite(each.images, f"data.name={config.name}", name)
    if config.sequence is not None:
        splits = {name: Split(as_sequences(each.images, config.sequence), each.labels) for name, each in splits.items()}
    train, total = splits["train"], len(splits["train"])
    test = splits.get("test")
    if split_seed and test is not None and not hold_out:
        raise UserError(
            f"seed_of.split={split_seed}: {config.name} has a test split and holds nothing out: none to draw"
        )
    if test is None:
        drawn, rest = stratified_split(train.labels, config.test_images, split_seed)
        train, test = train.take(rest), train.take(drawn)
    validation = test
    if hold_out:
        drawn, rest = stratified_split(train.labels, round(total * config.validation_fraction), split_seed)
        train, validation = train.take(rest), train.take(drawn)
    mean, std = pixel_statistics(train)
    if not std.all():
        rule = "training images have one value everywhere, which cannot be standardised"
        raise UserError(f"data.name={config.name}: channel {int(std.flatten().argmin())} of the {rule}")
    return Data(train, validation, test, mean, std)


def fingerprint(config: DataConfig) -> str:
    """A hash of the images and labels of all splits, wherever they are stored: 16 hexadecimal digits.

    Raises UserError, as `load` does, where they are not on this machine.
    """
    return _reader(config.format).fingerprint(config)


class Reader(Protocol):
    """What the module of a data format defines."""

    def read(self, config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
        """Splits `train` and, where one is published, `test`: images (n, C, H, W) or sequences (n, C, L), uint8 or
        float32, and labels (n) int64."""

    def fingerprint(self, config: DataConfig) -> str:
        """A hash of what `read` reads, soon computed: every plan asks for it."""


def _reader(kind: DataFormat) -> Reader:
    # By name, so that a run's code is that of its own format and of no other (see run_key).
    return cast(Reader, import_module(f"terminator.data.{kind.value}"))


def check_finite(images: Tensor, where: str, split: str) -> None:
    """Raises UserError that begins with `where` and names the first image of the split, from 0, with such a value."""
    if images.is_floating_point() and not (finite := images.flatten(1).isfinite().all(1)).all():
        what = "sequence" if images.dim() == 3 else "image"
        index = int(finite.int().argmin())
        raise UserError(f"{where}: {what} {index} of the {split} split holds a value that is infinite or not a number")


def pixel_statistics(split: Split) -> tuple[Tensor, Tensor]:
    """Mean and biased standard deviation per channel, (C, 1, …) float32; of uint8 from exact integer sums."""
    shape = (-1,) + (1,) * (split.stored.dim() - 2)
    if split.stored.is_floating_point():
        spread, centre = torch.std_mean(_by_channel(split).double(), dim=1, correction=0)
        return centre.float().reshape(shape), spread.float().reshape(shape)
    counts = torch.zeros(split.stored.shape[1], 256, dtype=torch.int64)
    for piece in split.even_batches(PIECE):
        counts += torch.stack([torch.bincount(channel, minlength=256) for channel in _by_channel(piece)])
    values = torch.arange(256, dtype=torch.float64)
    total = counts[0].sum()
    mean = counts.double() @ values / total
    variance = counts.double() @ values.square() / total - mean.square()
    return mean.float().reshape(shape), variance.sqrt().float().reshape(shape)


def _by_channel(split: Split) -> Tensor:
    return split.images.transpose(0, 1).flatten(1)  # (C, n·pixels)


SPLIT_SEED = 1797  # of the usual split, on which no run ever trains on another's test images


def stratified_split(labels: Tensor, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw `count` of the images, the classes in their own proportions (largest remainders). Returns (drawn, rest).

    `labels`: (n); both answers are increasing indices into it. The same arguments give the same answer, always.
    """
    sizes = torch.bincount(labels)
    exact = sizes * count  # in units of 1/n images, so that remainders are exact
    quotas = exact // len(labels)
    leftover = count - int(quotas.sum())
    quotas[(exact % len(labels)).argsort(descending=True, stable=True)[:leftover]] += 1
    generator = torch.Generator().manual_seed(SPLIT_SEED + seed)
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


def as_sequences(images: Tensor, order: PixelOrder) -> Tensor:
    """The pixels of each image one after the other. (n, C, H, W) → (n, C, H·W)."""
    sequences = images.flatten(2)
    if order is PixelOrder.rows:
        return sequences
    permutation = torch.randperm(sequences.shape[2], generator=torch.Generator().manual_seed(PERMUTATION_SEED))
    return sequences[:, :, permutation]
