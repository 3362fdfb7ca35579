"""Which images or sequences a run sees, and how they are split and augmented: the fields of conf/data/*.yaml."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from terminator.errors import UserError


class DataFormat(Enum):
    """How a data set is stored. Each value names the module terminator.data.<format> that reads it."""

    digits = "digits"
    hub = "hub"


class PixelOrder(Enum):
    """How pixels become a sequence: row by row, or in one random order that is the same for all images and runs."""

    rows = "rows"
    permuted = "permuted"


@dataclass(frozen=True)
class DataConfig:
    """A data set, the fraction of it that chooses the epoch, and the augmentation of its training images.

    `image_shape`: (C, H, W) as stored, or (C, L) where sequences are stored. `sequence`: train on the pixels of images
    as a sequence (C, H·W); None for data as they are stored.
    `repository` (on the Hugging Face hub) and `folder` (of the set's Parquet files) say where the images are, not what
    they are: they are no part of a run's key, which holds a fingerprint of the images instead.
    `test_images`: so many are drawn for the test split where none is published (digits).
    `validation_fraction`: of the published training images; of all images where no test split is published.
    `crop_padding`: training images are cropped at random from themselves with so many pixels of symmetric padding.
    """

    name: str = "digits"
    format: DataFormat = DataFormat.digits
    image_shape: list[int] = field(default_factory=lambda: [1, 8, 8])
    classes: int = 10
    sequence: PixelOrder | None = None
    image_column: str = "image"
    label_column: str = "label"
    test_images: int = 360
    validation_fraction: float = 0.1
    crop_padding: int = 0
    horizontal_flip: bool = False
    repository: str | None = field(default=None, metadata={"in_key": False})
    folder: str | None = field(default=None, metadata={"in_key": False})

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What a network sees: (C, H, W), or (C, L) for a sequence."""
        channels, *pixels = self.image_shape
        return (channels, *pixels) if self.sequence is None else (channels, math.prod(pixels))

    @property
    def is_sequence(self) -> bool:
        """Whether a network sees sequences: those that are stored, or images as such."""
        return self.sequence is not None or len(self.image_shape) == 2

    @property
    def known_test_images(self) -> int | None:
        """How many images test, where that is known without reading them."""
        return self.test_images if self.format is DataFormat.digits else None

    def __post_init__(self) -> None:
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or self.image_shape[0] not in (1, 3):
            raise UserError(
                f"data.image_shape={list(self.image_shape)}: must be [channels,height,width], 1 or 3 channels"
            )
        if self.classes < 2:
            raise UserError(f"data.classes={self.classes}: must be at least 2")
        if not 0 < self.validation_fraction <= 0.5:
            raise UserError(f"data.validation_fraction={self.validation_fraction}: must be above 0 and at most 0.5")
        if self.sequence is not None and (self.crop_padding or self.horizontal_flip):
            raise UserError(
                f"data.name={self.name}: a sequence takes neither data.crop_padding nor data.horizontal_flip"
            )
        width = self.image_shape[-1]
        if not 0 <= self.crop_padding <= width:
            raise UserError(f"data.crop_padding={self.crop_padding}: must be from 0 to the image's width, {width}")
        if self.folder is not None and self.format is DataFormat.digits:
            raise UserError(f"data.folder={self.folder}: {self.name} comes with scikit-learn and takes no folder")
        if self.folder is None and self.repository is None and self.format is DataFormat.hub:
            rule = "format hub needs it, or data.folder, a folder of the set's Parquet files"
            raise UserError(f"data.repository=null: {rule}")
