"""A user's own data: a folder of class folders, Parquet files or arrays, whose shape and classes are read from them."""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from terminator.data.cache import Arrays, fingerprint_of, remembered, stamp
from terminator.data.config import DataConfig, FolderConfig
from terminator.data.hub import read_parquet
from terminator.data.load import check_finite
from terminator.errors import UserError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
GREY = ("1", "L", "LA")
LAYOUTS = "folders of images, one a class; *.parquet; *.npz; or *.npy"
FEWEST = 3  # images of a class whose splits are drawn: one each


@dataclass(frozen=True)
class Description:
    """What a folder holds. `sizes`: images in `train` and, where it is there, `test`; `classes`: names, by label."""

    image_shape: list[int]
    classes: list[str]
    sizes: dict[str, int]
    fingerprint: str

    def __str__(self) -> str:
        what = "sequences" if len(self.image_shape) == 2 else "images"
        sizes = " + ".join(f"{size:,} {split}" for split, size in self.sizes.items()) + " "
        if "test" not in self.sizes:  # it is drawn of them
            sizes = f"{self.sizes['train']:,} "
        names = ", ".join(self.classes[:10]) + (", …" if len(self.classes) > 10 else "")
        return f"{sizes}{what} of {'×'.join(map(str, self.image_shape))}, {len(self.classes)} classes: {names}"


def read(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Split `train` and, where it is there, `test`: images (n, C, H, W) or sequences (n, C, L) and labels (n).

    Raises UserError where something cannot be read, is of another size or type than the rest, or has no label.
    """
    arrays, _ = _arrays(config)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return {name: (tensors[name], tensors[f"{name}_labels"]) for name in ("train", "test") if name in tensors}


def fingerprint(config: DataConfig) -> str:
    """A hash of the decoded images and the labels. Raises what `read` raises."""
    return describe(config).fingerprint


def describe(config: DataConfig) -> Description:
    """What the folder holds; files that have not changed since they were last described are not read again.

    Raises what `read` raises, and UserError where no folder is given or it cannot be read.
    """
    if config.folder is None:
        raise UserError(f"data.folder=null: must name a folder; data={config.name} reads {LAYOUTS}")
    folder = str(Path(config.folder).expanduser().absolute())
    return _described(folder, config.image_column, config.label_column)


def resolve(config: FolderConfig, *, batch_size: int = 1, hold_out: bool = True) -> FolderConfig:
    """The configuration with the shape, the classes and the number of test images that its folder has.

    Raises what `describe` raises, and UserError where a field says something else, or a split would have no images, the
    training split none for a batch.
    """
    found, where = describe(config), f"data.folder={config.folder}"
    for key, given, there in (
        ("image_shape", list(config.image_shape), found.image_shape),
        ("classes", config.classes, len(found.classes)),
        ("test_images", config.test_images, found.sizes.get("test", config.test_images)),
    ):
        if given and given != there:
            raise UserError(f"data.{key}={given}: {config.folder} has {there}; leave the key out to take what is there")
    total = found.sizes["train"]
    test = found.sizes.get("test") or config.test_images or max(1, total // 5)
    held = round(total * config.validation_fraction) if hold_out else 0
    left = total - held - (0 if "test" in found.sizes else test)
    if left < 1 or held < hold_out:
        raise UserError(
            f"{where}: {total} images are too few: {max(left, 0)} to train, {held} to validate, {test} to test"
        )
    if left < batch_size:
        raise UserError(
            f"training.batch_size={batch_size}: must be at most the {left} training images of {config.folder}"
        )
    return replace(config, image_shape=found.image_shape, classes=len(found.classes), test_images=test)


@functools.lru_cache(maxsize=8)  # a plan asks for every run
def _described(folder: str, image_column: str, label_column: str) -> Description:
    config = FolderConfig(folder=folder, image_column=image_column, label_column=label_column)
    files = [stamp(path) for source in _sources(config).values() for path in source]

    def compute() -> dict[str, Any]:
        arrays, classes = _arrays(config)
        sizes = {split: len(arrays[split]) for split in ("train", "test") if split in arrays}
        return {
            "image_shape": list(arrays["train"].shape[1:]),
            "classes": classes,
            "sizes": sizes,
            "fingerprint": fingerprint_of(arrays),
        }

    return Description(**remembered(f"folder {folder} {image_column} {label_column}", files, compute))


def _arrays(config: DataConfig) -> tuple[Arrays, list[str]]:
    """`train`, `train_labels` and, where they are there, `test`, `test_labels`; and the names of the classes."""
    where = f"data.folder={config.folder}"
    splits = {split: _read_split(config, split, files) for split, files in _sources(config).items()}
    classes = sorted(set(splits["train"][1]), key=lambda label: (isinstance(label, str), label))
    if len(classes) < 2:
        raise UserError(f"{where}: holds {len(classes)} class; at least 2 are needed")
    shapes = {split: images.shape[1:] for split, (images, _) in splits.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{split} {'×'.join(map(str, shape))}" for split, shape in shapes.items())
        raise UserError(f"{where}: the splits differ in shape: {found}")
    arrays: Arrays = {}
    for split, (images, labels) in splits.items():
        counts = Counter(labels)
        fewest = FEWEST if len(splits) == 1 else 1
        for label in [*classes, *counts]:
            if label not in classes:
                raise UserError(f"{where}: class {label} of the {split} split has no training images")
            if counts[label] < fewest:
                rule = f"has {counts[label]} images in the {split} split; must be at least {fewest}"
                raise UserError(f"{where}: class {label} {rule}")
        check_finite(torch.from_numpy(images), where, split)
        numbers = {label: number for number, label in enumerate(classes)}
        arrays[split], arrays[f"{split}_labels"] = images, np.array([numbers[label] for label in labels])
    return arrays, [str(label) for label in classes]


def _sources(config: DataConfig) -> dict[str, list[Path]]:
    """The files of each split, all of one kind; `train` alone where the folder names no splits."""
    folder = Path(str(config.folder))
    where = f"data.folder={folder}"
    try:
        visible = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path, folder)]
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from error
    if not visible:
        raise UserError(f"{where}: {'holds no files' if folder.is_dir() else 'no such folder'}; needs {LAYOUTS}")
    kinds = {path.suffix.lower() for path in visible}
    arrays = [kind for kind in (".parquet", ".npz", ".npy") if kind in kinds]
    for path in visible:
        if path.suffix.lower() not in (arrays[:1] or IMAGES):
            kind = f"*{arrays[0]}" if arrays else "images"
            raise UserError(f"{where}: holds {kind} and {path.relative_to(folder)}; must hold one kind: {LAYOUTS}")
    splits: dict[str, list[Path]] = {}
    for split in ("train", "test"):
        named = re.compile(rf"(.*/)?{split}[-./]" if arrays else f"{split}/")
        files = [path for path in visible if named.match(path.relative_to(folder).as_posix())]
        splits |= {split: files} if files else {}
    if not splits:
        return {"train": visible}
    if "train" not in splits or sum(map(len, splits.values())) < len(visible):
        known = [path for files in splits.values() for path in files] if "train" in splits else []
        other = next(path for path in visible if path not in known)
        raise UserError(f"{where}: {other.relative_to(folder)} is in no split; name train and test, or neither")
    return splits


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _read_split(config: DataConfig, split: str, files: list[Path]) -> tuple[np.ndarray[Any, Any], list[Any]]:
    """Images or sequences, uint8 or float32, and their labels, whole numbers or names."""
    where, kind = f"data.folder={config.folder}", files[0].suffix.lower()
    if kind in (".npz", ".npy"):
        images, labels = _members(config, files)
        return _checked(images, where, split), _whole_or_names(labels, len(images), where, split)
    if kind == ".parquet":
        batches = list(read_parquet(files, [config.image_column, config.label_column], where, split))
        cells = (cell for batch in batches for cell in batch.column(config.image_column).to_pylist())
        contents = (cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells)
        images = _pictures(
            ((f"image {number} of the {split} split", each) for number, each in enumerate(contents)), where
        )
        labels = np.array([label for batch in batches for label in batch.column(config.label_column).to_pylist()])
        return images, _whole_or_names(labels, len(images), where, split)
    folder = Path(str(config.folder))
    inside = folder / split if files[0].is_relative_to(folder / split) else folder
    for path in files:
        if path.parent.parent != inside:
            raise UserError(f"{where}: {path.relative_to(folder)} is in no class folder: must be CLASS/IMAGE")
    named = ((str(path.relative_to(folder)), path) for path in files)
    return _pictures(named, where), [path.parent.name for path in files]


def _members(config: DataConfig, files: list[Path]) -> list[np.ndarray[Any, Any]]:
    """The arrays of images and of labels: members of one .npz file, or .npy files of these names."""
    where, wanted = f"data.folder={config.folder}", [config.image_column, config.label_column]
    found: dict[str, np.ndarray[Any, Any]] = {}
    for path in files:
        try:
            if path.suffix.lower() == ".npy":  # may be larger than the memory
                members = {path.stem: np.load(path, mmap_mode="c", allow_pickle=False)}
            else:
                with path.open("rb") as file:
                    loaded = np.load(file, allow_pickle=False)
                    members = {path.stem: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
        except Exception as error:  # whatever a damaged file raises
            raise UserError(f"{where}: {path.name} cannot be read: {str(error).splitlines()[0]}") from error
        if twice := sorted(found.keys() & members.keys()):
            raise UserError(f"{where}: {path.name} holds {twice[0]}, which another file of its split holds too")
        found |= members
    if not set(wanted) <= found.keys():
        rule = f"needs {', '.join(wanted)}; found {', '.join(sorted(found))}; set data.image_column, data.label_column"
        raise UserError(f"{where}: {rule}")
    return [found[name] for name in wanted]


def _checked(images: np.ndarray[Any, Any], where: str, split: str) -> np.ndarray[Any, Any]:
    shape = "×".join(map(str, images.shape))
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise UserError(f"{where}: the {split} array is {shape}; must be sequences (n, C, L) or images (n, C, H, W)")
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        raise UserError(f"{where}: the {split} array is {shape}; its channels must come second, (n, C, H, W)")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise UserError(f"{where}: the {split} array is of {images.dtype}; must be uint8 or float")
    with np.errstate(over="ignore"):  # a number beyond float32 is found to be infinite
        return np.ascontiguousarray(images if images.dtype == np.uint8 else images.astype(np.float32, copy=False))


def _whole_or_names(labels: np.ndarray[Any, Any], count: int, where: str, split: str) -> list[Any]:
    if labels.shape != (count,):
        shape = "×".join(map(str, labels.shape))
        raise UserError(f"{where}: the labels of the {split} split are {shape}; must be one for each of {count} images")
    if labels.dtype.kind not in "iuU":
        raise UserError(f"{where}: the labels of the {split} split must be whole numbers or names, without gaps")
    return list(labels.tolist())


def _pictures(sources: Iterator[tuple[str, Any]], where: str) -> np.ndarray[Any, Any]:
    """Decoded, (n, C, H, W) uint8: grey if all of them are. `sources`: what to call an image; its file or its bytes."""
    from PIL import Image

    first = ""
    pictures: list[np.ndarray[Any, Any]] = []
    for name, source in sources:
        try:
            with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as opened:
                mode = opened.mode
                picture = np.asarray(opened.convert("L" if mode in GREY else "RGB"))
        except (OSError, TypeError, ValueError, SyntaxError) as error:
            raise UserError(f"{where}: {name} cannot be read as an image") from error
        if mode not in EIGHT_BIT:
            raise UserError(
                f"{where}: {name} has more than 8 bits a channel (mode {mode}); store such data as an array"
            )
        if pictures and picture.shape[:2] != pictures[0].shape[:2]:
            sizes = [f"{each.shape[1]}×{each.shape[0]}" for each in (pictures[0], picture)]
            raise UserError(f"{where}: images of several sizes: {first} is {sizes[0]}, {name} is {sizes[1]}")
        first = first or name
        pictures.append(picture)
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [picture if picture.ndim == 3 else picture[:, :, None].repeat(3, 2) for picture in pictures]
        return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    return np.stack(pictures)[:, None]
