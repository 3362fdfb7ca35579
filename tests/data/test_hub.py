"""Published sets, offline, from small Parquet files in each set's layout on the hub."""

from __future__ import annotations

import io
import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from terminator import fetch as data_command
from terminator.config import shipped_data
from terminator.data import hub as hub_module
from terminator.data.config import DataConfig
from terminator.data.fetched import facts, location
from terminator.data.hub import fetch
from terminator.data.load import as_sequences, fingerprint, load
from terminator.errors import UserError

LAYOUTS = {
    "mnist": ("mnist/{}-00000-of-00001.parquet", ["label"]),
    "fashion_mnist": ("fashion_mnist/{}-00000-of-00001.parquet", ["label"]),
    "cifar10": ("plain_text/{}-00000-of-00001.parquet", ["label"]),
    "cifar100": ("cifar100/{}-00000-of-00001.parquet", ["fine_label", "coarse_label"]),
    "stl10": ("data/{}-00000-of-00001.parquet", ["label"]),
    "tiny_imagenet": ("data/{}-00000-of-00001-1359597a978bc4fa.parquet", ["label"]),
    "smnist": ("mnist/{}-00000-of-00001.parquet", ["label"]),
    "pmnist": ("mnist/{}-00000-of-00001.parquet", ["label"]),
    "scifar10": ("plain_text/{}-00000-of-00001.parquet", ["label"]),
}
PER_CLASS = {"train": 10, "test": 2}
FEW = {"train": 2, "test": 1}  # of a hundred classes and more
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
    Image.fromarray(pixels.squeeze()).save(file, "png", compress_level=0)
    return file.getvalue()


def write_set(folder: Path, name: str, layout: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a small set of random images in its hub layout; returns the pixels, split by split, (n, H, W, C)."""
    facts = shipped_data()[name]
    channels, height, width = facts.image_shape
    generator = np.random.default_rng(seed)
    pixels = {}
    for split, per_class in (PER_CLASS if facts.classes < 100 else FEW).items():
        labels = np.arange(facts.classes * per_class) % facts.classes
        pixels[split] = generator.integers(0, 256, (len(labels), height, width, channels), dtype=np.uint8)
        columns = {facts.image_column: [{"bytes": _png(image), "path": None} for image in pixels[split]]}
        columns |= {column: labels if column == facts.label_column else labels // 5 for column in LAYOUTS[name][1]}
        path = folder / layout.format("valid" if (name, split) == ("tiny_imagenet", "test") else split)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return pixels


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which `datasets` finds a repository by its name before it looks on the hub."""
    import datasets  # a second to import

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    hub_module._splits.cache_clear()
    return tmp_path


def forget(hub: Path) -> None:
    """Leave nothing that `datasets` could find."""
    hub_module._splits.cache_clear()
    shutil.rmtree(hub / "datasets")


def publish(hub: Path, name: str) -> DataConfig:
    """A small set where `datasets` finds it; returns the shipped configuration."""
    published = shipped_data()[name]
    write_set(hub / str(published.repository), name, LAYOUTS[name][0])
    return published


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layout(name: str, hub: Path) -> None:
    published = replace(shipped_data()[name], validation_fraction=0.5)
    arrays = write_set(files := hub / str(published.repository), name, LAYOUTS[name][0])
    pixels = {split: torch.from_numpy(each).permute(0, 3, 1, 2) for split, each in arrays.items()}
    if order := published.sequence:
        pixels = {split: as_sequences(each, order) for split, each in pixels.items()}
    data = load(from_files := replace(published, folder=str(files)))
    classes, per_class = published.classes, {split: len(each) // published.classes for split, each in arrays.items()}
    train, test = per_class["train"], per_class["test"]
    sizes = [train // 2 * classes, train // 2 * classes, test * classes]
    assert [len(split) for split in (data.train, data.validation, data.test)] == sizes
    assert data.train.images.shape[1:] == published.input_shape
    assert torch.bincount(data.validation.labels).tolist() == [train // 2] * classes  # held out class by class
    assert torch.equal(data.test.images, pixels["test"])
    assert data.test.labels.tolist() == [*range(classes)] * test
    standardised = data.standardise(data.train.images).double().transpose(0, 1).flatten(1)
    assert torch.allclose(standardised.mean(1), torch.zeros((), dtype=torch.float64), atol=1e-5)

    known = fetch(published)
    forget(hub)
    assert known.sizes == {split: classes * count for split, count in per_class.items()}
    assert known.fingerprint == fingerprint(published) == fingerprint(from_files)
    released = load(published, hold_out=False)
    assert torch.equal(released.train.images, pixels["train"])
    assert torch.equal(released.validation.images, pixels["test"])
    assert torch.equal(released.test.labels, data.test.labels)


def test_one_column_of_labels_is_fetched_and_the_other_is_not_taken_for_it(hub: Path) -> None:
    fine = publish(hub, "cifar100")
    coarse = replace(fine, label_column="coarse_label")
    assert fetch(fine) != fetch(coarse)
    forget(hub)
    assert load(coarse).test.labels.max() == 19


def test_a_damaged_file_is_found_and_fetched_anew(hub: Path) -> None:
    mnist = publish(hub, "mnist")
    known, path = fetch(mnist), location(mnist)
    intact = path.read_bytes()
    for damaged in (intact[:-1], intact[:-1] + bytes([intact[-1] ^ 1]), b"", intact[:5]):
        path.write_bytes(damaged)
        with pytest.raises(
            UserError, match=r"^data.name=mnist: .* is damaged \(.*\); make it anew with `.* data fetch mnist` "
        ) as error:
            fingerprint(mnist)
        assert "\n" not in str(error.value)
        assert fetch(mnist) == known == facts(mnist)
    assert path.read_bytes() == intact


def test_without_room_nothing_is_left_behind(hub: Path) -> None:
    mnist = publish(hub, "mnist")
    fetch(mnist)
    location(mnist).unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"^data.name=mnist: .*safetensors cannot be written: File too large$"):
            fetch(mnist)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(location(mnist).parent.iterdir()) == []


def test_a_set_without_a_test_split(hub: Path) -> None:
    mnist = publish(hub, "mnist")
    (hub / str(mnist.repository) / MNIST.format("test")).unlink()
    with pytest.raises(UserError, match=r"^data.name=mnist: ylecun/mnist has no test split; it has train$"):
        fetch(mnist)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list"], 0, "cifar10 +images 3×32×32, 10 classes +not fetched: uoft-cs/cifar10 "),
        (["list"], 0, "smnist +sequences 1×784, 10 classes +100 train \\+ 20 test, 0.1 MB in .*/ylecun--mnist-"),
        (["fetch", "mnist", "cifar"], 2, "terminator: data=cifar: no such data set; did you mean cifar10\\? "),
        (["fetch", "digits"], 2, "terminator: data=digits: comes with scikit-learn; "),
        (["fetch", "mine", "--config-dir", "configs"], 0, "mine +images 1×28×28, 10 classes +100 train "),
        (["fetch", "pmnist"], 0, "pmnist +sequences 1×784, "),
    ],
)  # fmt: skip
def test_the_command(
    words: list[str],
    code: int,
    said: str,
    hub: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fetch(publish(hub, "mnist"))
    (hub / "configs" / "data").mkdir(parents=True)
    own = "format: hub\nname: mine\nrepository: ylecun/mnist\nimage_shape: [1, 28, 28]\nclasses: 10\n"
    (hub / "configs" / "data" / "mine.yaml").write_text(own)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["terminator data", *words])
    with pytest.raises(SystemExit) if code or words[0] == "fetch" else nullcontext() as exit:
        data_command.main()
    assert (exit.value.code if exit else 0) == code
    captured = capsys.readouterr()
    assert re.search(said, captured.err if code else captured.out, re.MULTILINE)


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
    monkeypatch.setattr(pq, "ParquetFile", None)
    assert fingerprint(config("mnist", tmp_path)) == first
    cache.write_text("{")
    with pytest.raises(TypeError):  # it would read the files
        fingerprint(config("mnist", tmp_path))


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, cache: Path) -> None:
    write_set(tmp_path, "mnist", MNIST)
    cache.parent.write_text("a file where the folder would be")
    assert len(fingerprint(config("mnist", tmp_path))) == 16


LOAD = """
import sys
from terminator.config import shipped_data
from terminator.data.load import fingerprint, load
for name in ("cifar10", "mnist"):
    try:
        config = shipped_data()[name]
        data = load(config)
        print(len(data.train), len(data.validation), len(data.test), int(data.test.images.sum()), fingerprint(config))
    except ValueError as error:
        print(error)
"""


def test_the_cache_of_hugging_face_datasets(hub: Path) -> None:
    from datasets import load_dataset_builder

    pixels = write_set(hub, "cifar10", LAYOUTS["cifar10"][0])
    files = {split: str(hub / LAYOUTS["cifar10"][0].format(split)) for split in PER_CLASS}
    builder = load_dataset_builder("parquet", "plain_text", data_files=files)
    builder.dataset_name = "cifar10"  # as from the hub
    cache = hub / "home" / "datasets"
    builder.download_and_prepare(str(cache / "uoft-cs___cifar10" / "plain_text" / "0.0.0" / "0123456789abcdef"))
    # A process of its own: `datasets` reads where its cache is, and that it is offline, when it is imported.
    environment = {**os.environ, "HF_HOME": str(hub / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", LOAD]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    cifar10, mnist = said.stdout.splitlines()
    assert cifar10 == f"90 10 20 {pixels['test'].sum()} {fingerprint(config('cifar10', hub))}"
    run = "run `python -m terminator data fetch mnist` where there is network"
    assert mnist == f"data.name=mnist: not on this machine; {run}, or set data.folder to a folder of its Parquet files"
    assert "Retrying" not in said.stderr  # it does not ask the network
