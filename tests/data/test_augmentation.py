"""Crop and flip, by hand and against the plain form, image by image."""

from __future__ import annotations

import numpy as np
import torch

from terminator.data.load import augment, mirror


def test_mirror_repeats_the_edge() -> None:
    assert mirror(torch.arange(-4, 8), 4).tolist() == [3, 2, 1, 0, 0, 1, 2, 3, 3, 2, 1, 0]


def test_every_crop_is_a_window_of_the_padded_image() -> None:
    images = torch.randint(0, 256, (64, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    crops = augment(images, crop_padding=2, horizontal_flip=True, generator=torch.Generator().manual_seed(1))
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


def test_switched_off_it_changes_nothing() -> None:
    images = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8)
    assert torch.equal(images, augment(images, crop_padding=0, horizontal_flip=False, generator=torch.Generator()))


def test_the_generator_decides() -> None:
    images = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
    first, again, other = (
        augment(images, crop_padding=3, horizontal_flip=True, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
