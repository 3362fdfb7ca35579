"""Which images a run sees, and how they are split and augmented."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from terminator.errors import UserError


class Dataset(Enum):
    """The data sets that go by a word. `sdigits`, `pdigits`: digits as pixel sequences, in a fixed permutation."""

    digits = "digits"
    sdigits = "sdigits"
    pdigits = "pdigits"
    mnist = "mnist"
    fashion_mnist = "fashion_mnist"
    cifar10 = "cifar10"
    cifar100 = "cifar100"
    stl10 = "stl10"


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a set before it is loaded. `image_shape`: (C, H, W), or (C, L) for sequences.

    `hub_name`: its name on the Hugging Face hub, None for what comes with scikit-learn.
    """

    image_shape: tuple[int, ...]
    classes: int
    hub_name: str | None = None
    image_column: str = "image"
    label_column: str = "label"


FACTS = {
    Dataset.digits: DatasetFacts((1, 8, 8), 10),
    Dataset.sdigits: DatasetFacts((1, 64), 10),
    Dataset.pdigits: DatasetFacts((1, 64), 10),
    Dataset.mnist: DatasetFacts((1, 28, 28), 10, "ylecun/mnist"),
    Dataset.fashion_mnist: DatasetFacts((1, 28, 28), 10, "zalando-datasets/fashion_mnist"),
    Dataset.cifar10: DatasetFacts((3, 32, 32), 10, "uoft-cs/cifar10", "img"),
    Dataset.cifar100: DatasetFacts((3, 32, 32), 100, "uoft-cs/cifar100", "img", "fine_label"),
    Dataset.stl10: DatasetFacts((3, 96, 96), 10, "tanganke/stl10"),
}


@dataclass(frozen=True)
class DataConfig:
    """A data set, the share of it that chooses the epoch, and the augmentation of its training images.

    `validation_fraction`: of the published training images; of all images where no test split is published (digits).
    `crop_padding`: training images are cropped at random from themselves with so many pixels of symmetric padding.
    `folder` (a local folder of the set's Parquet files) says where, not what: it is no part of a run's key.
    """

    name: Dataset = Dataset.digits
    validation_fraction: float = 0.1
    crop_padding: int = 0
    horizontal_flip: bool = False
    folder: str | None = field(default=None, metadata={"in_key": False})

    @property
    def facts(self) -> DatasetFacts:
        """Shape, classes and columns of the set."""
        return FACTS[self.name]

    def __post_init__(self) -> None:
        if not 0 < self.validation_fraction <= 0.5:
            raise UserError(f"data.validation_fraction={self.validation_fraction}: must be above 0 and at most 0.5")
        shape = self.facts.image_shape
        if len(shape) == 2 and (self.crop_padding or self.horizontal_flip):
            name = self.name.value
            raise UserError(f"data.name={name}: a sequence takes neither data.crop_padding nor data.horizontal_flip")
        if not 0 <= self.crop_padding <= shape[-1]:
            raise UserError(f"data.crop_padding={self.crop_padding}: must be from 0 to the image's width, {shape[-1]}")
        if self.folder is not None and self.facts.hub_name is None:
            raise UserError(f"data.folder={self.folder}: {self.name.value} comes with scikit-learn and takes no folder")
