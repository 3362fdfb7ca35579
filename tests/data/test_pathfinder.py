"""Pathfinder: images that hold what their labels say, the same everywhere, balanced, and none of them twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from terminator.data.config import PathfinderConfig, PixelOrder
from terminator.data.load import fingerprint, load
from terminator.data.pathfinder import read
from terminator.errors import UserError

SMALL = PathfinderConfig(image_shape=[1, 16, 16], path_length=3, distractors=1, train_images=100, test_images=40)


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def test_every_machine_makes_the_same_images() -> None:
    assert fingerprint(SMALL) == "2b16e972d3b29e32"
    assert fingerprint(replace(SMALL, generator_seed=1)) != fingerprint(SMALL)


def test_balanced_and_none_twice() -> None:
    splits = read(SMALL)
    for split, count in (("train", 100), ("test", 40)):
        images, labels = splits[split]
        assert images.shape == (count, 1, 16, 16)
        assert images.dtype == torch.uint8
        assert torch.bincount(labels).tolist() == [count // 2] * 2
    images = torch.cat([images for images, _ in splits.values()])
    assert len(images.flatten(1).unique(dim=0)) == 140
    more = read(replace(SMALL, train_images=120, test_images=20))
    assert torch.equal(more["train"][0][:100], splits["train"][0])
    assert torch.equal(more["test"][0], splits["test"][0][:20])


def test_the_discs_of_label_1_are_on_one_path_and_their_distance_does_not_tell() -> None:
    images, labels = read(PathfinderConfig(train_images=400, test_images=20))["train"]
    connected, distances = [], []
    for image in images[:, 0].numpy():
        paths, _ = ndimage.label(image > 50, structure=np.ones((3, 3)))
        discs, count = ndimage.label(ndimage.binary_opening(image > 110, ndimage.generate_binary_structure(2, 1)))
        assert count == 2
        connected.append(paths[discs == 1].max() == paths[discs == 2].max())
        distances.append(np.hypot(*np.subtract(*ndimage.center_of_mass(discs > 0, discs, [1, 2]))))
    # Two paths that nearly touch look like one, and a faint dash ends a path.
    assert (np.array(connected) == labels.numpy()).mean() > 0.9
    apart = np.array(distances)
    assert apart[labels == 1].mean() == pytest.approx(apart[labels == 0].mean(), abs=1)


def test_as_sequences() -> None:
    images, sequences = load(SMALL), load(replace(SMALL, sequence=PixelOrder.rows))
    assert torch.equal(sequences.test.images, images.test.images.flatten(2))
    assert [len(split) for split in (images.train, images.validation, images.test)] == [90, 10, 40]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": [1, 20, 20]}, r"image_shape=\[1, 20, 20\]: must be \[1,16,16\], \[1,32,32\] or \[1,64,64\]"),
        ({"image_shape": [3, 16, 16]}, r"image_shape=\[3, 16, 16\]: must be "),
        ({"train_images": 101}, "train_images=101: must be even, at least 20"),
        ({"path_length": 1}, "path_length=1: must be at least 2 dashes"),
        ({"distractors": -1}, "distractors=-1: must not be negative"),
        ({"classes": 3}, "classes=3: must be 2: on one path or not"),
        ({"folder": "x"}, "folder=x: pathfinder is generated and takes no folder"),
        ({"path_length": 9}, "path_length=9: with data.distractors=1, no room on 16×16 pixels"),
    ],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=f"^data.{message}"):
        fingerprint(replace(SMALL, **settings))
