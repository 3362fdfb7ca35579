"""Digits as a run sees them, and the statistics that standardise them."""

from __future__ import annotations

import pytest
import torch

from terminator.data.config import DataConfig, Dataset
from terminator.data.load import load, pixel_statistics
from terminator.errors import UserError


def test_digits_sizes_and_strata() -> None:
    data = load(DataConfig())
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1257, 180, 360]
    assert data.train.images.shape == (1257, 1, 8, 8)
    assert data.train.images.dtype == torch.uint8
    for split in (data.train, data.validation, data.test):
        counts = torch.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.06 * len(split) / 10 + 1  # classes hold 174 to 183 of 1,797


def test_splits_share_no_image_and_lose_none() -> None:
    data = load(DataConfig())
    images = torch.cat([split.images for split in (data.train, data.validation, data.test)]).flatten(1)
    released = load(DataConfig(), hold_out=False)
    assert torch.equal(released.test.images, data.test.images)
    assert released.validation is released.test
    assert len(released.train) == 1437
    assert len(images.unique(dim=0)) == 1797  # no digit stands there twice, so equal pixels are the same image


def test_standardised_training_images_have_mean_0_and_variance_1() -> None:
    data = load(DataConfig())
    images = data.standardise(data.train.images).double()
    assert images.mean().item() == pytest.approx(0, abs=1e-6)
    assert images.var(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_pixel_statistics_by_hand() -> None:
    images = torch.tensor([[[[0, 4]], [[10, 10]]], [[[4, 0]], [[10, 14]]]], dtype=torch.uint8)  # (2, 2, 1, 2)
    mean, std = pixel_statistics(images)
    assert mean.shape == (2, 1, 1)
    assert mean.flatten().tolist() == [2.0, 11.0]
    assert std.flatten().tolist() == pytest.approx([2.0, 3**0.5])


def test_sequences() -> None:
    images, plain, permuted = (
        load(DataConfig(name=name)) for name in (Dataset.digits, Dataset.sdigits, Dataset.pdigits)
    )
    assert torch.equal(plain.train.images, images.train.images.flatten(2))  # (1257, 1, 64), the same split
    assert not torch.equal(permuted.train.images, plain.train.images)
    assert torch.equal(permuted.test.images.sort(2).values, plain.test.images.sort(2).values)
    # One permutation for all: where a permuted pixel comes from is the same in every image.
    order = [
        next(j for j in range(64) if torch.equal(plain.train.images[:, 0, j], permuted.train.images[:, 0, i]))
        for i in range(64)
        if permuted.train.images[:, 0, i].any()
    ]
    assert len(set(order)) == len(order)
    assert plain.standardise(plain.train.images).shape == (1257, 1, 64)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"validation_fraction": 0.0}, r"^data.validation_fraction=0.0: must be above 0 and at most 0.5$"),
        ({"crop_padding": 9}, r"^data.crop_padding=9: must be from 0 to the image's width, 8$"),
        ({"name": Dataset.sdigits, "horizontal_flip": True}, r"^data.name=sdigits: a sequence takes neither "),
        ({"folder": "x"}, r"^data.folder=x: digits comes with scikit-learn and takes no folder$"),
    ],
)
def test_bad_values(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig(**fields)  # type: ignore[arg-type]
