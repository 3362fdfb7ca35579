"""Digits as a run sees them: splits, statistics, sequences, and what a configuration refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from terminator.config import shipped_data
from terminator.data.config import DataConfig, PixelOrder
from terminator.data.load import check_finite, fingerprint, load, pixel_statistics, stratified_split
from terminator.data.splits import Data, Split
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


def _splits(data: Data) -> tuple[Split, Split, Split]:
    return data.train, data.validation, data.test


def test_a_seed_draws_another_split_of_the_same_images() -> None:
    usual, other = load(DataConfig()), load(DataConfig(), split_seed=1)
    for before, now in zip(_splits(usual), _splits(other), strict=True):
        assert torch.equal(torch.bincount(before.labels), torch.bincount(now.labels))
        assert not torch.equal(before.images, now.images)
    again = load(DataConfig(), split_seed=1)
    assert torch.equal(again.train.images, other.train.images)
    assert torch.equal(again.test.images, other.test.images)


def test_of_a_published_test_split_a_seed_draws_the_validation_split_alone() -> None:
    config = replace(shipped_data()["mnist1d"], num_samples=400, test_images=100)
    usual, other = load(config), load(config, split_seed=1)
    assert torch.equal(usual.test.images, other.test.images)
    assert not torch.equal(usual.validation.images, other.validation.images)
    with pytest.raises(
        UserError, match=r"^seed_of\.split=1: mnist1d has a test split and holds nothing out: none to draw"
    ):
        load(config, hold_out=False, split_seed=1)


def test_standardised_training_images_have_mean_0_and_variance_1() -> None:
    data = load(DataConfig())
    images = data.standardise(data.train.images).double()
    assert images.mean().item() == pytest.approx(0, abs=1e-6)
    assert images.var(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_pixel_statistics_by_hand() -> None:
    images = torch.tensor([[[[0, 4]], [[10, 10]]], [[[4, 0]], [[10, 14]]]], dtype=torch.uint8)  # (2, 2, 1, 2)
    mean, std = pixel_statistics(Split(images, torch.zeros(2)))
    assert mean.shape == (2, 1, 1)
    assert mean.flatten().tolist() == [2.0, 11.0]
    assert std.flatten().tolist() == pytest.approx([2.0, 3**0.5])


@pytest.mark.parametrize("shape", [(50, 3, 6, 6), (50, 2, 9)], ids=["images", "sequences"])
def test_float_data_are_treated_as_the_same_values_in_bytes(shape: tuple[int, ...]) -> None:
    bytes_ = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    standardised = []
    for images in (bytes_, bytes_.float()):
        split = Split(images, torch.zeros(50, dtype=torch.int64))
        data = Data(split, split, split, *pixel_statistics(split))
        standardised.append(data.standardise(images))
        assert standardised[-1].dtype == data.mean.dtype == data.std.dtype == torch.float32
    assert torch.allclose(*standardised, atol=1e-6)
    assert torch.allclose(standardised[0].mean(), torch.zeros(()), atol=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    images = torch.zeros(5, 2, 9)
    check_finite(images, "data.name=mine", "train")
    images[3, 1, 4] = value
    rule = "sequence 3 of the train split holds a value that is infinite or not a number"
    with pytest.raises(UserError, match=f"^data.name=mine: {rule}$"):
        check_finite(images, "data.name=mine", "train")


def test_sequences() -> None:
    images, plain, permuted = (load(shipped_data()[name]) for name in ("digits", "sdigits", "pdigits"))
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
        ({"cutout": -1}, r"^data.cutout=-1: must be from 0 to the image's width, 8$"),
        ({"mixup": -0.5}, r"^data.mixup=-0.5: must be 0 or a positive number$"),
        (
            {"sequence": PixelOrder.rows, "crop_padding": 1},
            r"^data.crop_padding=1: it is for images, and digits has seq",
        ),
        ({"image_shape": [8, 8]}, r"^data.image_shape=\[8, 8\]: must be \[channels,height,width\], 1 or 3 channels$"),
        ({"image_shape": [4, 8, 8]}, r"^data.image_shape=\[4, 8, 8\]: must be "),
        ({"classes": 1}, r"^data.classes=1: must be at least 2$"),
        ({"format": "hub"}, r"^data.repository=null: format hub needs it, or data.folder, a folder of "),
        ({"folder": "x"}, r"^data.folder=x: digits comes with scikit-learn and takes no folder$"),
        ({"image_column": "picture"}, r"^data.image_column=picture: digits has no columns$"),
    ],
)
def test_bad_values(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig(**fields)  # type: ignore[arg-type]


def test_the_default_is_the_shipped_digits() -> None:
    assert DataConfig() == shipped_data()["digits"]


def test_the_fingerprint_is_of_the_images_whatever_is_done_with_them() -> None:
    sequences = DataConfig(name="others", sequence=PixelOrder.rows)
    assert fingerprint(DataConfig()) == fingerprint(sequences) == "68aea062d35a1277"


def test_quotas_by_largest_remainder() -> None:
    # 10 images in classes of 5, 3 and 2; 4 drawn: shares 2, 1.2, 0.8, so quotas 2, 1, 1.
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 0, 2, 0, 1])
    drawn, rest = stratified_split(labels, 4)
    assert torch.bincount(labels[drawn]).tolist() == [2, 1, 1]
    assert torch.bincount(labels[rest]).tolist() == [3, 2, 1]
    assert sorted(drawn.tolist() + rest.tolist()) == list(range(10))


def test_a_draw_never_changes() -> None:
    labels = torch.arange(40) % 4
    drawn, _ = stratified_split(labels, 8)
    torch.manual_seed(7)
    assert torch.equal(drawn, stratified_split(labels, 8)[0])
    assert drawn.tolist() == [0, 2, 3, 6, 7, 8, 9, 29]
