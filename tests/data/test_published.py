"""Published sets, offline, from small Parquet files in each set's layout on the hub."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from terminator.data.config import FACTS, DataConfig, Dataset
from terminator.data.hub import check_available
from terminator.data.load import load
from terminator.errors import UserError

LAYOUTS = {
    Dataset.mnist: ("mnist/{}-00000-of-00001.parquet", ["label"]),
    Dataset.fashion_mnist: ("fashion_mnist/{}-00000-of-00001.parquet", ["label"]),
    Dataset.cifar10: ("plain_text/{}-00000-of-00001.parquet", ["label"]),
    Dataset.cifar100: ("cifar100/{}-00000-of-00001.parquet", ["fine_label", "coarse_label"]),
    Dataset.stl10: ("data/{}-00000-of-00001.parquet", ["label"]),
}
PER_CLASS = {"train": 10, "test": 2}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "png")
    return file.getvalue()


def write_set(folder: Path, name: Dataset, layout: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a small set of random images in its hub layout; returns the pixels, split by split, (n, H, W, C)."""
    facts = FACTS[name]
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
def test_published_layout(name: Dataset, tmp_path: Path) -> None:
    pixels = write_set(tmp_path, name, LAYOUTS[name][0])
    data = load(DataConfig(name=name, folder=str(tmp_path)))
    classes = FACTS[name].classes
    assert [len(split) for split in (data.train, data.validation, data.test)] == [9 * classes, classes, 2 * classes]
    assert data.train.images.shape[1:] == FACTS[name].image_shape
    assert torch.bincount(data.validation.labels).tolist() == [1] * classes  # held out class by class
    assert torch.equal(data.test.images, torch.from_numpy(pixels["test"]).permute(0, 3, 1, 2))
    assert data.test.labels.tolist() == [*range(classes)] * 2
    standardised = data.standardise(data.train.images).double().transpose(0, 1).flatten(1)
    assert torch.allclose(standardised.mean(1), torch.zeros((), dtype=torch.float64), atol=1e-5)
    released = load(DataConfig(name=name, folder=str(tmp_path)), hold_out=False)
    assert torch.equal(released.train.images, torch.from_numpy(pixels["train"]).permute(0, 3, 1, 2))


def test_the_hubs_converted_layout_and_several_files(tmp_path: Path) -> None:
    write_set(tmp_path, Dataset.cifar10, "plain_text/{}/0000.parquet")
    write_set(tmp_path, Dataset.cifar10, "plain_text/{}/0001.parquet", seed=1)
    data = load(DataConfig(name=Dataset.cifar10, folder=str(tmp_path)))
    assert [len(split) for split in (data.train, data.validation, data.test)] == [180, 20, 40]


def test_empty_folder_says_what_to_fetch(tmp_path: Path) -> None:
    config = DataConfig(name=Dataset.cifar10, folder=str(tmp_path))
    with pytest.raises(UserError, match=r"no train\*.parquet under it; fetch them with `hf download uoft-cs/cifar10 "):
        check_available(config)


def test_a_folder_of_another_set(tmp_path: Path) -> None:
    write_set(tmp_path, Dataset.mnist, LAYOUTS[Dataset.mnist][0])
    with pytest.raises(UserError, match=r"^data.folder=.*: cannot read the train split: .*img"):
        load(DataConfig(name=Dataset.cifar10, folder=str(tmp_path)))
    write_set(tmp_path / "stl10", Dataset.stl10, LAYOUTS[Dataset.stl10][0])
    with pytest.raises(UserError, match=r"^data.name=mnist: image 0 of the train split is 96×96, must be 28×28$"):
        load(DataConfig(name=Dataset.mnist, folder=str(tmp_path / "stl10")))


def test_half_a_file(tmp_path: Path) -> None:
    write_set(tmp_path, Dataset.mnist, LAYOUTS[Dataset.mnist][0])
    path = tmp_path / LAYOUTS[Dataset.mnist][0].format("test")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"^data.folder=.*: cannot read the test split: "):
        check_available(DataConfig(name=Dataset.mnist, folder=str(tmp_path)))


def test_damaged_image_and_label(tmp_path: Path) -> None:
    write_set(tmp_path, Dataset.mnist, LAYOUTS[Dataset.mnist][0])
    path = tmp_path / LAYOUTS[Dataset.mnist][0].format("test")
    intact = pq.read_table(path)
    labels = pa.array([10, *intact.column("label").to_pylist()[1:]])
    pq.write_table(intact.set_column(1, "label", labels), path)
    with pytest.raises(UserError, match=r"labels of the test split must be there, from 0 to 9$"):
        load(DataConfig(name=Dataset.mnist, folder=str(tmp_path)))
    cells = [{"bytes": b"no image", "path": None}, *intact.column("image").to_pylist()[1:]]
    pq.write_table(intact.set_column(0, "image", pa.array(cells)), path)
    with pytest.raises(UserError, match=r"image 0 of the test split is damaged$"):
        load(DataConfig(name=Dataset.mnist, folder=str(tmp_path)))


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
from terminator.data.config import DataConfig, Dataset
from terminator.data.load import load
try:
    data = load(DataConfig(name=Dataset(sys.argv[1])))
    print(len(data.train), len(data.validation), len(data.test), int(data.test.images.sum()))
except ValueError as error:
    print(error)
"""


def test_the_cache_of_hugging_face_datasets(tmp_path: Path) -> None:
    pixels = write_set(tmp_path, Dataset.cifar10, LAYOUTS[Dataset.cifar10][0])
    cache = tmp_path / "home" / "datasets"
    # Processes of their own: `datasets` reads where its cache is, and that it is offline, when it is imported.
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)

    def python(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    python(CACHE, str(tmp_path), str(cache))
    assert python(LOAD, "cifar10") == f"90 10 20 {pixels['test'].sum()}"
    started = time.monotonic()
    answer = python(LOAD, "mnist")
    assert answer.startswith("data.name=mnist: not in the cache of Hugging Face datasets; fetch it with `python -c ")
    assert "datasets.load_dataset('ylecun/mnist')" in answer
    assert "data.folder" in answer
    assert time.monotonic() - started < 100  # no waiting for a network, on a slow machine either
