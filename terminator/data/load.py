"""From a data configuration to tensors: the three splits, and the statistics that standardise them."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from terminator.data.config import DataConfig, PixelOrder, data_module
from terminator.data.splits import PIECE, Data, Split
from terminator.errors import UserError


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


def _reader(kind: str) -> Reader:
    # By name, so that a run's code is that of its own format and of no other (see run_key).
    return cast(Reader, import_module(data_module(kind)))


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


PERMUTATION_SEED = 64  # one for all runs: a permuted set is one data set


def as_sequences(images: Tensor, order: PixelOrder) -> Tensor:
    """The pixels of each image one after the other. (n, C, H, W) → (n, C, H·W)."""
    sequences = images.flatten(2)
    if order is PixelOrder.rows:
        return sequences
    permutation = torch.randperm(sequences.shape[2], generator=torch.Generator().manual_seed(PERMUTATION_SEED))
    return sequences[:, :, permutation]
