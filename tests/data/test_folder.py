"""A user's own data: three ways to store them, what is read from them, and one line for what cannot be used."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from terminator.data import folder as module
from terminator.data.config import FolderConfig
from terminator.data.folder import describe, resolve
from terminator.data.load import fingerprint, load
from terminator.errors import UserError

COUNT = 20  # images a split


@pytest.fixture(autouse=True)
def _fresh(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    module._described.cache_clear()


def pixels(split: str, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(split)).integers(0, 256, (COUNT, *shape), dtype=np.uint8)


def class_folders(root: Path, splits: tuple[str, ...] = ("train", "test"), shape: tuple[int, ...] = (6, 5)) -> None:
    """Class by class, dogs the odd ones."""
    for split in splits:
        for number, image in enumerate(pixels(split, *shape)):
            path = root / ("" if len(splits) == 1 else split) / ("cat", "dog")[number % 2] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def parquet(root: Path, image: str = "image", label: str = "label") -> None:
    for split in ("train", "test"):
        cells = []
        for each in pixels(split, 6, 5):
            file = io.BytesIO()
            Image.fromarray(each).save(file, "png")
            cells.append({"bytes": file.getvalue(), "path": None})
        pq.write_table(pa.table({image: cells, label: ["cat", "dog"] * (COUNT // 2)}), root / f"{split}-0.parquet")


def arrays(root: Path, images: Any = None, labels: Any = None, split: str = "train", **names: Any) -> None:
    """One .npz file; names of its members, where they are others, in `names`."""
    images = pixels(split, 1, 6, 5) if images is None else images
    labels = np.arange(len(images)) % 2 if labels is None else labels
    np.savez(root / f"{split}.npz", **(names or {"image": images, "label": labels}))


def both_arrays(root: Path) -> None:
    for split in ("train", "test"):
        arrays(root, split=split)


def npy(root: Path) -> None:
    for split in ("train", "test"):
        (root / split).mkdir()
        np.save(root / split / "image.npy", pixels(split, 1, 6, 5))
        np.save(root / split / "label.npy", np.arange(COUNT) % 2)


def test_arrays_are_mapped_into_memory_once(tmp_path: Path) -> None:
    npy(tmp_path)
    data = load(resolve(FolderConfig(folder=str(tmp_path))))
    assert data.train.stored.data_ptr() == data.validation.stored.data_ptr() != data.test.stored.data_ptr()
    assert f"{tmp_path}/train/image.npy" in Path("/proc/self/maps").read_text()
    stored = torch.from_numpy(pixels("train", 1, 6, 5))
    together = torch.cat([data.train.images, data.validation.images])
    assert torch.equal(together.unique(dim=0), stored.unique(dim=0))
    some = data.train.take(torch.tensor([5, 2]))
    assert torch.equal(some.images, data.train.images[[5, 2]])
    assert torch.equal(some.take(torch.tensor([1])).images, data.train.images[[2]])
    copied = torch.cat([batch.images for batch in data.train.even_batches(7)])
    assert torch.equal(copied, data.train.images)


@pytest.mark.parametrize("write", [class_folders, parquet, both_arrays, npy])
def test_the_same_images_however_they_are_stored(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path)
    config = resolve(FolderConfig(folder=str(tmp_path)))
    assert (list(config.image_shape), config.classes, config.test_images) == ([1, 6, 5], 2, COUNT)
    data = load(config)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, COUNT]
    order = data.test.images.flatten(1).tolist()
    by_hand = dict(zip(map(tuple, pixels("test", 6, 5).reshape(COUNT, -1).tolist()), [0, 1] * 10, strict=True))
    assert [by_hand[tuple(each)] for each in order] == data.test.labels.tolist()
    names = "0, 1" if write in (both_arrays, npy) else "cat, dog"
    assert str(describe(config)) == f"20 train + 20 test images of 1×6×5, 2 classes: {names}"


def test_sequences_of_floats_and_a_split_that_is_drawn(tmp_path: Path) -> None:
    sequences = np.random.default_rng(0).normal(size=(50, 2, 9))
    arrays(tmp_path, sequences, np.array([5, 7] * 25), split="mine")
    config = resolve(FolderConfig(folder=str(tmp_path)))
    assert (list(config.image_shape), config.is_sequence, config.test_images) == ([2, 9], True, 10)
    data = load(config)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [35, 5, 10]
    assert data.train.images.dtype == torch.float32
    assert torch.bincount(data.test.labels).tolist() == [5, 5]
    assert resolve(FolderConfig(folder=str(tmp_path), test_images=20)).test_images == 20


def test_colour_if_any_image_has_it_and_grey_else(tmp_path: Path) -> None:
    class_folders(tmp_path, ("train",))
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path / "cat" / "colour.png")
    assert describe(FolderConfig(folder=str(tmp_path))).image_shape == [3, 6, 5]


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here, there):
        place.mkdir()
        both_arrays(place)
    config = FolderConfig(folder=str(here))
    assert fingerprint(config) == fingerprint(FolderConfig(folder=str(there)))
    changed = pixels("train", 1, 6, 5)
    changed[3, 0, 2, 2] += 1
    before = fingerprint(config)
    arrays(here, changed)
    module._described.cache_clear()
    assert fingerprint(config) != before


def _set(value: float) -> Any:
    images = np.zeros((COUNT, 1, 9))
    images[:, 0, 0], images[7, 0, 3] = np.arange(COUNT), value
    return images


def _broken(root: Path) -> None:
    class_folders(root)
    (root / "test" / "dog" / "01.png").write_bytes(b"no image")


def _larger(root: Path) -> None:
    class_folders(root)
    Image.fromarray(np.zeros((7, 5), np.uint8)).save(root / "train" / "cat" / "99.png")


def _other_class(root: Path) -> None:
    class_folders(root)
    (root / "test" / "dog").rename(root / "test" / "frog")


def _no_dogs(root: Path) -> None:
    class_folders(root)
    for path in (root / "test" / "dog").iterdir():
        path.unlink()


def _half_a_file(root: Path) -> None:
    both_arrays(root)
    (root / "test.npz").write_bytes((root / "test.npz").read_bytes()[:200])


def _deep(root: Path) -> None:
    class_folders(root)
    Image.fromarray(np.zeros((16, 16), np.uint16)).save(root / "train" / "cat" / "00.png")


def _loose(root: Path) -> None:
    class_folders(root)
    (root / "train" / "notes.txt").write_text("mine")


def _elsewhere(root: Path) -> None:
    class_folders(root)
    (root / "test").rename(root / "exam")


@pytest.mark.parametrize(
    ("write", "fields", "message"),
    [
        (lambda root: None, {}, "folder=PLACE: holds no files; needs folders of images, one a class; "),
        (lambda root: None, {"folder": "/no/such"}, "folder=/no/such: no such folder; needs "),
        (lambda root: None, {"folder": None}, "folder=null: must name a folder; data=folder reads folders of images"),
        (
            lambda root: parquet(root, "img", "digit"),
            {},
            "folder=PLACE: cannot read the train split: train-0.parquet needs image, label; found img, digit; set ",
        ),
        (
            lambda root: arrays(root, x=np.zeros(3), y=np.zeros(3)),
            {},
            "folder=PLACE: needs image, label; found x, y; set ",
        ),
        (_broken, {}, "folder=PLACE: test/dog/01.png cannot be read as an image"),
        (_larger, {}, "folder=PLACE: images of several sizes: train/cat/00.png is 5×6, train/cat/99.png is 5×7"),
        (_deep, {}, "folder=PLACE: train/cat/00.png has more than 8 bits a channel "),
        (_other_class, {}, "folder=PLACE: class dog has 0 images in the test split; must be at least 1"),
        (_no_dogs, {}, "folder=PLACE: class dog has 0 images in the test split"),
        (_loose, {}, r"folder=PLACE: holds images and train/notes.txt; must hold one kind: "),
        (_elsewhere, {}, r"folder=PLACE: exam/cat/00.png is in no split; name train and test, or neither"),
        (_half_a_file, {}, "folder=PLACE: test.npz cannot be read: "),
        (
            lambda root: arrays(root, _set(np.nan)),
            {},
            "folder=PLACE: sequence 7 of the train split holds a value that is infinite or not a number",
        ),
        (lambda root: arrays(root, _set(1e60)), {}, "folder=PLACE: sequence 7 of the train split holds a value that "),
        (
            lambda root: arrays(root, np.zeros((9, 8))),
            {},
            r"folder=PLACE: the train array is 9×8; must be sequences \(n, C, L\) or ",
        ),
        (
            lambda root: arrays(root, np.zeros((9, 8, 8, 3))),
            {},
            "folder=PLACE: the train array is 9×8×8×3; its channels must come second",
        ),
        (
            lambda root: arrays(root, np.zeros((9, 1, 8), int)),
            {},
            "folder=PLACE: the train array is of int64; must be uint8 or float",
        ),
        (
            lambda root: arrays(root, labels=np.zeros(3, int)),
            {},
            "folder=PLACE: the labels of the train split are 3; must be one for each of 20 images",
        ),
        (
            lambda root: arrays(root, labels=np.zeros(COUNT)),
            {},
            "folder=PLACE: the labels of the train split must be whole numbers or names",
        ),
        (
            lambda root: arrays(root, labels=np.zeros(COUNT, int)),
            {},
            "folder=PLACE: holds 1 class; at least 2 are needed",
        ),
        (
            lambda root: arrays(root, labels=np.arange(COUNT) // 19),
            {},
            "folder=PLACE: class 1 has 1 images in the train split; must be at least 3",
        ),
        (
            both_arrays,
            {"image_shape": [3, 6, 5]},
            r"image_shape=\[3, 6, 5\]: PLACE has \[1, 6, 5\]; leave the key out ",
        ),
        (both_arrays, {"classes": 3}, "classes=3: PLACE has 2; leave"),
        (both_arrays, {"test_images": 3}, "test_images=3: PLACE has 20; leave"),
        (
            both_arrays,
            {"validation_fraction": 0.01},
            "folder=PLACE: 20 images are too few: 20 to train, 0 to validate, 20 to test",
        ),
        (both_arrays, {"crop_padding": 9}, "crop_padding=9: must be from 0 to the image's width, 5"),
    ],
)
def test_one_line_for_what_cannot_be_used(
    tmp_path: Path, write: Callable[[Path], None], fields: dict[str, Any], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(UserError, match=f"^data.{message.replace('PLACE', str(tmp_path))}") as raised:
        resolve(replace(FolderConfig(folder=str(tmp_path)), **fields))
    assert "\n" not in str(raised.value)


def test_one_value_everywhere_cannot_be_standardised(tmp_path: Path) -> None:
    arrays(tmp_path, np.ones((COUNT, 2, 9)) * np.array([[[1.0], [5.0]]]))
    with pytest.raises(
        UserError, match=r"^data.name=folder: channel 0 of the training images have one value everywhere"
    ):
        load(resolve(FolderConfig(folder=str(tmp_path))))
