"""Crops, flips, cutout and mixup of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from terminator.data.augment import Draws, crop_and_flip, cutout, mirror, mixup
from terminator.data.config import DataConfig


def draws(images: Tensor, seed: int = 1, **fields: object) -> Draws:
    config = DataConfig(image_shape=list(images.shape[1:]), **fields)  # type: ignore[arg-type]
    return Draws.of(config, len(images), torch.Generator().manual_seed(seed))


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (64, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_mirror_repeats_the_edge() -> None:
    assert mirror(torch.arange(-4, 8), 4).tolist() == [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]


def test_every_crop_is_a_window_of_the_padded_image(images: Tensor) -> None:
    crops = crop_and_flip(images, draws(images, crop_padding=2, horizontal_flip=True))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric")
    seen = set()
    for original, crop in zip(padded, crops.numpy(), strict=True):
        windows = {(i, j): original[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)}
        found = [
            (place, flipped)
            for place, window in windows.items()
            for flipped in (False, True)
            if np.array_equal(crop, window[:, :, ::-1] if flipped else window)
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert {place[0] for place, _ in seen} == {place[1] for place, _ in seen} == {0, 1, 2, 3, 4}
    assert {flipped for _, flipped in seen} == {False, True}


def test_switched_off_it_changes_nothing(images: Tensor) -> None:
    assert torch.equal(images, crop_and_flip(images, draws(images)))
    assert torch.equal(images.float(), cutout(images.float(), draws(images), 0))
    assert torch.equal(images.float(), mixup(images.float(), 1.0))


def test_the_generator_decides(images: Tensor) -> None:
    first, again, other = (
        crop_and_flip(images, draws(images, seed, crop_padding=3, horizontal_flip=True)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bytes_and_floats_are_cropped_alike(images: Tensor) -> None:
    drawn = draws(images, crop_padding=2, horizontal_flip=True)
    assert torch.equal(crop_and_flip(images, drawn).float(), crop_and_flip(images.float(), drawn))


def test_a_part_of_the_batch_is_augmented_as_in_the_whole(images: Tensor) -> None:
    drawn, part = draws(images, crop_padding=2, horizontal_flip=True), torch.arange(64)[1::2]
    assert torch.equal(crop_and_flip(images[part], drawn.at(part)), crop_and_flip(images, drawn)[part])


def test_switching_on_flips_or_cutout_leaves_the_crops(images: Tensor) -> None:
    alone, both = draws(images, crop_padding=2), draws(images, crop_padding=2, horizontal_flip=True, cutout=3)
    assert torch.equal(alone.shifts, both.shifts)
    assert not alone.flips.any()
    assert torch.equal(alone.holes, both.holes)


def test_cutout_hides_a_square_cut_off_at_the_edges() -> None:
    centres = torch.tensor([[0, 0], [2, 3], [5, 1]])
    hidden = cutout(torch.ones(3, 2, 6, 6), Draws(centres, centres[:, 0] > 0, centres), 3) == 0
    expected = torch.zeros(3, 6, 6, dtype=torch.bool)
    expected[0, :2, :2] = expected[1, 1:4, 2:5] = expected[2, 4:, :3] = True
    assert torch.equal(hidden, expected[:, None].expand(3, 2, 6, 6))


def test_mixup_pairs_each_image_with_another() -> None:
    images = torch.tensor([[1.0], [2.0], [4.0], [8.0]])
    assert torch.allclose(mixup(images, 0.75), torch.tensor([[2.75], [2.5], [3.5], [6.25]]))
