"""Which images a run sees, and how they are split and augmented."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Dataset(Enum):
    """The data sets that go by a word."""

    digits = "digits"
    mnist = "mnist"
    fashion_mnist = "fashion_mnist"
    cifar10 = "cifar10"
    cifar100 = "cifar100"
    stl10 = "stl10"


@dataclass(frozen=True)
class DataConfig:
    """`folder` (a local folder of the set's Parquet files) says where, not what: it is no part of a run's key."""

    name: Dataset = Dataset.digits
    validation_fraction: float = 0.1
    crop_padding: int = 0
    horizontal_flip: bool = False
    folder: str | None = field(default=None, metadata={"in_key": False})
