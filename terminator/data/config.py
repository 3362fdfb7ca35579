"""Which images or sequences a run sees, and how they are split and augmented: the fields of conf/data/*.yaml."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from terminator.errors import UserError
from terminator.plugins import check_name, installed, packaged_config

FORMATS = ("digits", "folder", "hub", "mnist1d", "pathfinder")  # each read by the module terminator.data.<format>
ENTRY_POINTS = "terminator.data"  # installed packages' further formats
GENERATED = ("mnist1d", "pathfinder")
TEST_DRAWN = ("digits", "folder")  # where there is no test split, it is drawn
DIGITS = 1797  # scikit-learn's


class PixelOrder(Enum):
    """How pixels become a sequence: row by row, or in one random order that is the same for all images and runs."""

    rows = "rows"
    permuted = "permuted"


@dataclass(frozen=True)
class DataConfig:
    """A data set, the fraction of it that chooses the epoch, and the augmentation of its training images.

    `image_shape`: (C, H, W) as stored, or (C, L) where sequences are stored. `sequence`: train on the pixels of images
    as a sequence (C, H·W); None for data as they are stored.
    `repository` (on the Hugging Face hub) and `folder` (of the set's files) say where the images are, not what
    they are: they are no part of a run's key, which holds a fingerprint of the images instead.
    `test_images`: so many are drawn for the test split where none is published (digits), or generated for it.
    `validation_fraction`: of the published training images; of all images where no test split is published.
    `crop_padding`: training images are cropped at random from themselves with so many pixels of symmetric padding.
    `cutout`: the side of the square, in pixels, that is hidden of each training image. `mixup`: each is mixed with
    another, in a share drawn from Beta(mixup, mixup) for each step; 0 mixes none.
    """

    name: str = "digits"
    format: str = "digits"
    image_shape: list[int] = field(default_factory=lambda: [1, 8, 8])
    classes: int = 10
    sequence: PixelOrder | None = None
    image_column: str = "image"
    label_column: str = "label"
    test_images: int = 360
    validation_fraction: float = 0.1
    crop_padding: int = 0
    horizontal_flip: bool = False
    cutout: int = 0
    mixup: float = 0.0
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
    def publishes_test(self) -> bool:
        """Whether the test split is known to be the same whatever the seed of the split."""
        return self.format not in TEST_DRAWN

    @property
    def known_test_images(self) -> int | None:
        """How many images test, where that is known without reading them."""
        return None if self.format == "hub" else self.test_images

    @property
    def total_images(self) -> int | None:
        """How many images there are to train, to validate and, where no test split is published, to test; None where
        that is not known without reading them."""
        return DIGITS if self.format == "digits" else None

    def training_images(self, *, hold_out: bool) -> int | None:
        """How many images train, where that is known without reading them; `hold_out`: some are left to validate."""
        if (total := self.total_images) is None:
            return None
        tests = 0 if self.publishes_test else self.test_images
        return total - tests - (round(total * self.validation_fraction) if hold_out else 0)

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise UserError(f"data.classes={self.classes}: must be at least 2")
        self._check_shape()
        if self.sequence is PixelOrder.rows and len(self.image_shape) == 2:
            raise UserError(f"data.sequence=rows: {self.name} holds sequences already")
        if not 0 < self.validation_fraction <= 0.5:
            raise UserError(f"data.validation_fraction={self.validation_fraction}: must be above 0 and at most 0.5")
        if self.format == "digits" and not 0 < self.test_images < (1 - self.validation_fraction) * DIGITS:
            rule = "leave some to train on, and some to test on, beside those to validate on"
            _require(False, "test_images", self.test_images, f"of {DIGITS:,} digits it must {rule}")
        for key in ("crop_padding", "horizontal_flip", "cutout") if self.is_sequence else ():
            value = getattr(self, key)
            shown = str(value).lower()
            _require(not value, key, shown, f"it is for images, and {self.name} has sequences; must be 0 or false")
        width = self.image_shape[-1]
        for key in ("crop_padding", "cutout"):
            value = getattr(self, key)
            _require(0 <= value <= width, key, value, f"must be from 0 to the image's width, {width}")
        _require(0 <= self.mixup < math.inf, "mixup", self.mixup, "must be 0 or a positive number")
        if self.folder is not None and self.format in ("digits", *GENERATED):
            source = "comes with scikit-learn" if self.format == "digits" else "is generated"
            raise UserError(f"data.folder={self.folder}: {self.name} {source} and takes no folder")
        for key, usual in (("image_column", "image"), ("label_column", "label")):
            named = getattr(self, key) != usual and self.format in ("digits", *GENERATED)
            _require(not named, key, getattr(self, key), f"{self.name} has no columns")
        if self.folder is None and self.repository is None and self.format == "hub":
            rule = "format hub needs it, or data.folder, a folder of the set's Parquet files"
            raise UserError(f"data.repository=null: {rule}")

    def _check_shape(self) -> None:
        if len(self.image_shape) != 3 or min(self.image_shape) < 1 or self.image_shape[0] not in (1, 3):
            raise UserError(
                f"data.image_shape={list(self.image_shape)}: must be [channels,height,width], 1 or 3 channels"
            )


def _require(holds: bool, key: str, value: object, rule: str) -> None:
    if not holds:
        raise UserError(f"data.{key}={value}: {rule}")


TEMPLATE_LENGTH = 12  # of the ten digits that MNIST-1D is made from


@dataclass(frozen=True)
class Mnist1dConfig(DataConfig):
    """MNIST-1D (Greydanus and Kobak, ICML 2024): sequences (1, L), by `image_shape`, of ten templates of 12 numbers.

    The other fields are those of the package's `get_dataset_args`; the defaults are the published set.
    `num_samples`: in all, of which the last `test_images` test. A template is lengthened by a number of zeros in
    `padding`, stretched, scaled by up to half of `scale_coeff`, and shifted, around the ends, by fewer than
    `max_translation` of the 12 + padding[1] positions; where it was zero it gets smooth noise of `corr_noise_scale`,
    and everywhere white noise of `iid_noise_scale` and a slope of up to half of `shear_scale`; then it is subsampled
    to L numbers. `shuffle_seq`: in one random order of positions. `generator_seed`: of all that is random here.
    """

    name: str = "mnist1d"
    format: str = "mnist1d"
    image_shape: list[int] = field(default_factory=lambda: [1, 40])
    test_images: int = 1000
    num_samples: int = 5000
    padding: list[int] = field(default_factory=lambda: [36, 60])
    scale_coeff: float = 0.4
    max_translation: int = 48
    corr_noise_scale: float = 0.25
    iid_noise_scale: float = 0.02
    shear_scale: float = 0.75
    shuffle_seq: bool = False
    generator_seed: int = 42

    @property
    def total_images(self) -> int:
        """How many sequences there are to train and to validate."""
        return self.num_samples - self.test_images

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "must be 10; MNIST-1D has ten templates"
        _require(self.classes == 10, "classes", self.classes, rule)
        rule = "mnist1d is shuffled by data.shuffle_seq=true, as data=pmnist1d has it"
        _require(self.sequence is None, "sequence", self.sequence and self.sequence.value, rule)
        rule = "must be a multiple of the 10 classes, at least 100"
        _require(self.num_samples >= 100 and self.num_samples % 10 == 0, "num_samples", self.num_samples, rule)
        rule = f"must be at least 10, and leave at least 10 of data.num_samples={self.num_samples} to train on"
        _require(10 <= self.test_images <= self.num_samples - 10, "test_images", self.test_images, rule)
        rule = "must be [least,most] zeros, 0 ≤ least ≤ most"
        fitting = len(self.padding) == 2 and 0 <= self.padding[0] <= self.padding[1]
        _require(fitting, "padding", list(self.padding), rule)
        longest = TEMPLATE_LENGTH + self.padding[1]
        rule = f"must be from 1 (no translation) to the {longest} positions of a padded template"
        _require(1 <= self.max_translation <= longest, "max_translation", self.max_translation, rule)
        for name in ("scale_coeff", "corr_noise_scale", "iid_noise_scale", "shear_scale"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, name, value, "must be 0 or a positive number")
        rule = "must be from 0 to 2³² − 1"
        _require(0 <= self.generator_seed < 2**32, "generator_seed", self.generator_seed, rule)

    def _check_shape(self) -> None:
        rule = "must be [1,length], a length of at least 2"
        fitting = len(self.image_shape) == 2 and self.image_shape[0] == 1 and self.image_shape[1] >= 2
        _require(fitting, "image_shape", list(self.image_shape), rule)


@dataclass(frozen=True)
class PathfinderConfig(DataConfig):
    """Pathfinder (Linsley et al. 2018): images (1, S, S), by `image_shape`, S of 16, 32 or 64; made here.

    Each has two paths of `path_length` dashes, three pixels from one to the next, and `distractors` paths of a third as
    many. Label 1: two discs mark the ends of one long path; label 0: they mark an end of each. `train_images`, from
    which the validation split is drawn, and `test_images` are generated, none of them twice.
    """

    name: str = "pathfinder"
    format: str = "pathfinder"
    image_shape: list[int] = field(default_factory=lambda: [1, 32, 32])
    classes: int = 2
    test_images: int = 2000
    train_images: int = 10_000
    path_length: int = 8
    distractors: int = 4
    generator_seed: int = 0

    @property
    def total_images(self) -> int:
        """How many images there are to train and to validate."""
        return self.train_images

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.classes == 2, "classes", self.classes, "must be 2: on one path or not")
        for name in ("train_images", "test_images"):
            count = getattr(self, name)
            _require(count >= 20 and count % 2 == 0, name, count, "must be even, at least 20")
        _require(self.path_length >= 2, "path_length", self.path_length, "must be at least 2 dashes")
        _require(self.distractors >= 0, "distractors", self.distractors, "must not be negative")
        _require(0 <= self.generator_seed < 2**63, "generator_seed", self.generator_seed, "must be from 0 to 2⁶³ − 1")

    def _check_shape(self) -> None:
        fitting = list(self.image_shape) in [[1, size, size] for size in (16, 32, 64)]
        _require(fitting, "image_shape", list(self.image_shape), "must be [1,16,16], [1,32,32] or [1,64,64]")


@dataclass(frozen=True)
class FolderConfig(DataConfig):
    """A user's own data, in `folder`: `image_shape`, `classes` and `test_images` are read from them, where not 0 or [].

    Where there is no test split, `test_images` are drawn for it, by default a fifth. `image_column`, `label_column`:
    columns of Parquet files, or names of arrays.
    """

    name: str = "folder"
    format: str = "folder"
    image_shape: list[int] = field(default_factory=list)
    classes: int = 0
    test_images: int = 0

    def __post_init__(self) -> None:
        _require(self.test_images >= 0, "test_images", self.test_images, "must not be negative")
        if self.image_shape and self.classes:  # else they are not read yet
            super().__post_init__()

    def _check_shape(self) -> None:
        fitting = len(self.image_shape) in (2, 3) and min(self.image_shape) >= 1
        _require(fitting, "image_shape", list(self.image_shape), "must be [channels,height,width] or [channels,length]")


_CONFIGS: dict[str, type[DataConfig]] = {
    "folder": FolderConfig,
    "mnist1d": Mnist1dConfig,
    "pathfinder": PathfinderConfig,
}


def data_config(kind: str) -> type[DataConfig]:
    """The class of a format's fields. Raises UserError where there is no such format, or an entry point names no module
    with a configuration of that name."""
    check_name(ENTRY_POINTS, kind, FORMATS, key="data.format", what="format")
    if kind in installed(ENTRY_POINTS):
        return packaged_config(
            ENTRY_POINTS, kind, DataConfig, key="data", field="format", functions=["read", "fingerprint"]
        )
    return _CONFIGS.get(kind, DataConfig)


def data_module(kind: str) -> str:
    """The dotted name of the module that reads a format."""
    return installed(ENTRY_POINTS)[kind][0] if kind in installed(ENTRY_POINTS) else f"{__package__}.{kind}"
