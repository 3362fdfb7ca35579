"""MNIST-1D: the package's own numbers, the same everywhere, from a cache that many processes may fill at once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from terminator.config import shipped_data
from terminator.data.cache import Arrays, fingerprint_of, generated
from terminator.data.config import Mnist1dConfig
from terminator.data.load import fingerprint, load
from terminator.data.mnist1d import read
from terminator.errors import UserError


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache folder; returns the one of generated sets in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Path(os.environ["XDG_CACHE_HOME"]) / "terminator" / "generated"


SMALL = Mnist1dConfig(num_samples=100, test_images=20)  # 80 to train on, as the published share


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_packages_own_set_number_for_number(shuffled: bool) -> None:
    from mnist1d.data import get_dataset_args, make_dataset

    config = replace(SMALL, shuffle_seq=shuffled)
    before = random.getstate(), np.random.get_state()
    arguments = get_dataset_args()
    published = shipped_data()["mnist1d"]
    for name in arguments.__dict__.keys() & {field.name for field in fields(published)}:
        assert getattr(published, name) == getattr(arguments, name)
    assert (published.num_samples * arguments.train_split, arguments.final_seq_length) == (4000, 40)
    arguments.num_samples, arguments.shuffle_seq = config.num_samples, shuffled
    expected = make_dataset(arguments)
    random.setstate(before[0])
    np.random.set_state(before[1])
    splits = read(config)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1][1].tolist()
    for split, suffix in (("train", ""), ("test", "_test")):
        sequences, labels = splits[split]
        assert sequences.dtype == torch.float32
        assert np.array_equal(sequences[:, 0].numpy(), expected[f"x{suffix}"].astype(np.float32))
        assert labels.tolist() == expected[f"y{suffix}"].tolist()


def test_every_machine_makes_the_same_set() -> None:
    # The hash of the package's make_dataset(), in float32: nothing is left of differences in the last bits of float64.
    assert fingerprint(shipped_data()["mnist1d"]) == "283fef282f6b5db9"
    data = load(shipped_data()["mnist1d"])
    assert [len(split) for split in (data.train, data.validation, data.test)] == [3600, 400, 1000]
    assert data.train.images.shape[1:] == shipped_data()["mnist1d"].input_shape == (1, 40)
    assert data.standardise(data.train.images).std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_settings_are_those_of_the_set() -> None:
    hard = shipped_data()["mnist1d_hard"]
    assert (hard.known_test_images, hard.is_sequence) == (10_000, True)
    plain = read(SMALL)["train"][0]
    noisier = read(replace(SMALL, iid_noise_scale=1.0))["train"][0]
    assert (noisier.diff().abs().mean() > 2 * plain.diff().abs().mean()).item()
    assert read(replace(SMALL, image_shape=[1, 30]))["test"][0].shape == (20, 1, 30)
    assert not torch.equal(read(replace(SMALL, generator_seed=1))["train"][0], plain)


def test_many_may_fill_the_cache_at_once(cache: Path) -> None:
    def job(number: int) -> str:
        return fingerprint_of(generated("many", "settings", lambda: {"values": np.arange(100_000.0)}))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(job, range(64)))) == 1
    assert [path.suffix for path in cache.glob("*many*")] == [".npz"]


def test_a_damaged_cache_is_made_anew(cache: Path) -> None:
    arrays: Arrays = {"sequences": np.arange(6.0), "labels": np.arange(3)}
    made: list[int] = []

    def make() -> Arrays:
        made.append(1)
        return arrays

    def found() -> bool:
        return fingerprint_of(generated("test", "settings", make)) == fingerprint_of(arrays)

    assert found()
    assert found()
    assert len(made) == 1
    (path,) = cache.glob("test-*.npz")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole.replace(np.float64(5).tobytes(), np.float64(6).tobytes())):
        path.write_bytes(damaged)
        made.clear()
        assert found()
        assert len(made) == 1
        assert path.read_bytes() == whole
    assert [each.name for each in cache.glob("*test*")] == [path.name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_samples": 5005}, "num_samples=5005: must be a multiple of the 10 classes, at least 100"),
        ({"num_samples": 50}, "num_samples=50: must be a multiple of the 10 classes, at least 100"),
        (
            {"test_images": 4995},
            "test_images=4995: must be at least 10, and leave at least 10 of data.num_samples=5000 ",
        ),
        ({"max_translation": 0}, r"max_translation=0: must be from 1 \(no translation\) to the 72 positions of "),
        ({"max_translation": 73}, "max_translation=73: must be from 1 "),
        ({"padding": [60, 36]}, r"padding=\[60, 36\]: must be \[least,most\] zeros, 0 ≤ least ≤ most"),
        ({"corr_noise_scale": -1.0}, "corr_noise_scale=-1.0: must be 0 or a positive number"),
        ({"iid_noise_scale": float("nan")}, "iid_noise_scale=nan: must be 0 or a positive number"),
        ({"image_shape": [1, 1]}, r"image_shape=\[1, 1\]: must be \[1,length\], a length of at least 2"),
        ({"image_shape": [1, 8, 8]}, r"image_shape=\[1, 8, 8\]: must be \[1,length\]"),
        ({"classes": 9}, "classes=9: must be 10; MNIST-1D has ten templates"),
        ({"generator_seed": -1}, "generator_seed=-1: must be from 0 to "),
        ({"crop_padding": 1}, "crop_padding=1: it is for images, and mnist1d has sequences; must be 0 or false"),
        ({"folder": "x"}, "folder=x: mnist1d is generated and takes no folder"),
    ],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"^data.{message}"):
        replace(SMALL, **{"num_samples": 5000, **settings})
