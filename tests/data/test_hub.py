"""Published sets, offline, from small Parquet files in each set's layout on the hub."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from terminator.config import shipped_data
from terminator.data.config import DataConfig
from terminator.data.load import fingerprint, load
from terminator.errors import UserError

LAYOUTS = {
    "mnist": ("mnist/{}-00000-of-00001.parquet", ["label"]),
    "fashion_mnist": ("fashion_mnist/{}-00000-of-00001.parquet", ["label"]),
    "cifar10": ("plain_text/{}-00000-of-00001.parquet", ["label"]),
    "cifar100": ("cifar100/{}-00000-of-00001.parquet", ["fine_label", "coarse_label"]),
    "stl10": ("data/{}-00000-of-00001.parquet", ["label"]),
}
PER_CLASS = {"train": 10, "test": 2}
MNIST = LAYOUTS["mnist"][0]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, an empty one; returns the file that keeps the fingerprints."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "terminator" / "fingerprints.json"


def config(name: str, folder: Path) -> DataConfig:
    """The shipped set, from a folder."""
    return replace(shipped_data()[name], folder=str(folder))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "png")
    return file.getvalue()


def write_set(folder: Path, name: str, layout: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a small set of random images in its hub layout; returns the pixels, split by split, (n, H, W, C)."""
    facts = shipped_data()[name]
    channels, height, width = facts.image_shape
    generator = np.random.default_rng(seed)
    pixels = {}
    for split, per_class in PER_CLASS.items():
        labels = np.arange(facts.classes * per_class) % facts.classes
        pixels[split] = generator.integers(0, 256, (len(labels), height, width, channels), dtype=np.uint8)
        columns = {facts.image_column: [{"bytes": _png(image), "path": None} for image in pixels[split]]}
        columns |= {column: labels if column == facts.label_column else labels // 5 for column in LAYOUTS[name][1]}
        path = folder / layout.format(split)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return pixels


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layout(name: str, tmp_path: Path) -> None:
    pixels = write_set(tmp_path, name, LAYOUTS[name][0])
    data = load(config(name, tmp_path))
    classes = shipped_data()[name].classes
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9 * classes, classes, 2 * classes]
    assert data.train.images.shape[1:] == shipped_data()[name].input_shape
    assert torch.bincount(data.validation.labels).tolist() == [1] * classes  # held out class by class
    assert torch.equal(data.test.images, torch.from_numpy(pixels["test"]).permute(0, 3, 1, 2))
    assert data.test.labels.tolist() == [*range(classes)] * 2
    standardised = data.standardise(data.train.images).double().transpose(0, 1).flatten(1)
    assert torch.allclose(standardised.mean(1), torch.zeros((), dtype=torch.float64), atol=1e-5)
    released = load(config(name, tmp_path), hold_out=False)
    assert torch.equal(released.train.images, torch.from_numpy(pixels["train"]).permute(0, 3, 1, 2))


def test_the_hubs_converted_layout_and_several_files(tmp_path: Path) -> None:
    write_set(tmp_path, "cifar10", "plain_text/{}/0000.parquet")
    write_set(tmp_path, "cifar10", "plain_text/{}/0001.parquet", seed=1)
    data = load(config("cifar10", tmp_path))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [180, 20, 40]


def test_empty_folder_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no train\*.parquet under it; fetch them with `hf download uoft-cs/cifar10 "):
        fingerprint(config("cifar10", tmp_path))


def test_a_folder_of_another_set(tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", MNIST)
    with pytest.raises(UserError, match=r"^data.folder=.*: cannot read the train split: .*img"):
        load(config("cifar10", tmp_path))
    write_set(tmp_path / "stl10", "stl10", LAYOUTS["stl10"][0])
    with pytest.raises(UserError, match=r"^data.name=mnist: image 0 of the train split is 96×96, must be 28×28$"):
        load(config("mnist", tmp_path / "stl10"))


def test_half_a_file(tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", MNIST)
    path = tmp_path / MNIST.format("test")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"^data.folder=.*: cannot read the test split: "):
        fingerprint(config("mnist", tmp_path))


def test_damaged_image_and_label(tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", MNIST)
    path = tmp_path / MNIST.format("test")
    intact = pq.read_table(path)
    labels = pa.array([10, *intact.column("label").to_pylist()[1:]])
    pq.write_table(intact.set_column(1, "label", labels), path)
    with pytest.raises(UserError, match=r"labels of the test split must be from 0 to 9, at least one$"):
        load(config("mnist", tmp_path))
    cells = [{"bytes": b"no image", "path": None}, *intact.column("image").to_pylist()[1:]]
    pq.write_table(intact.set_column(0, "image", pa.array(cells)), path)
    with pytest.raises(UserError, match=r"image 0 of the test split is damaged$"):
        load(config("mnist", tmp_path))


def test_the_fingerprint_is_of_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "here", "mnist", MNIST)
    write_set(tmp_path / "there", "mnist", "train_and_test/{}/0000.parquet")
    first = fingerprint(config("mnist", tmp_path / "here"))
    assert fingerprint(config("mnist", tmp_path / "there")) == first
    monkeypatch.chdir(tmp_path)
    assert fingerprint(config("mnist", Path("here"))) == first
    write_set(tmp_path / "here", "mnist", MNIST, seed=1)
    assert fingerprint(config("mnist", tmp_path / "here")) != first
    write_set(tmp_path / "here", "mnist", MNIST)
    assert fingerprint(config("mnist", tmp_path / "here")) == first
    path = tmp_path / "here" / MNIST.format("test")
    table = pq.read_table(path)
    labels = [1, *table.column("label").to_pylist()[1:]]
    pq.write_table(table.set_column(1, "label", pa.array(labels)), path)
    assert fingerprint(config("mnist", tmp_path / "here")) != first


def test_other_labels_of_the_same_images_are_other_data(tmp_path: Path) -> None:
    write_set(tmp_path, "cifar100", LAYOUTS["cifar100"][0])
    fine = config("cifar100", tmp_path)
    assert fingerprint(fine) != fingerprint(replace(fine, label_column="coarse_label"))


def test_unchanged_files_are_not_read_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path, "mnist", MNIST)
    first = fingerprint(config("mnist", tmp_path))
    monkeypatch.setattr(pq, "read_table", None)
    assert fingerprint(config("mnist", tmp_path)) == first
    cache.write_text("{")
    with pytest.raises(TypeError):  # it would read the files
        fingerprint(config("mnist", tmp_path))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, cache: Path) -> None:
    write_set(tmp_path, "mnist", MNIST)
    cache.parent.write_text("a file where the folder would be")
    assert len(fingerprint(config("mnist", tmp_path))) == 16


CACHE = """
import sys
from datasets import load_dataset_builder
folder, cache = sys.argv[1:]
files = {split: f"{folder}/plain_text/{split}-00000-of-00001.parquet" for split in ("train", "test")}
builder = load_dataset_builder("parquet", "plain_text", data_files=files)
builder.dataset_name = "cifar10"
builder.download_and_prepare(f"{cache}/uoft-cs___cifar10/plain_text/0.0.0/0123456789abcdef")
"""
LOAD = """
import sys
from terminator.config import shipped_data
from terminator.data.load import fingerprint, load
try:
    config = shipped_data()[sys.argv[1]]
    data = load(config)
    print(len(data.train), len(data.validation), len(data.test), int(data.test.images.sum()), fingerprint(config))
except ValueError as error:
    print(error)
"""


def test_the_cache_of_hugging_face_datasets(tmp_path: Path) -> None:
    pixels = write_set(tmp_path, "cifar10", LAYOUTS["cifar10"][0])
    cache = tmp_path / "home" / "datasets"
    # Processes of their own: `datasets` reads where its cache is, and that it is offline, when it is imported.
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)

    def python(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    python(CACHE, str(tmp_path), str(cache))
    assert python(LOAD, "cifar10") == f"90 10 20 {pixels['test'].sum()} {fingerprint(config('cifar10', tmp_path))}"
    started = time.monotonic()
    answer = python(LOAD, "mnist")
    assert answer.startswith("data.name=mnist: not in the cache of Hugging Face datasets; fetch it with `python -c ")
    assert "datasets.load_dataset('ylecun/mnist')" in answer
    assert "data.folder" in answer
    assert time.monotonic() - started < 100  # no waiting for a network, on a slow machine either
