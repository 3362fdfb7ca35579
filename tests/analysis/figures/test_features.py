from __future__ import annotations

import numpy as np
import pytest

from terminator.analysis.features import Features
from terminator.analysis.figures.features import feature_maps, features_by_depth, hyper_kernels
from terminator.analysis.figures.style import save


def invented(*pixels: int, blocks: int = 2) -> Features:
    random = np.random.default_rng(len(pixels))
    maps = tuple(random.normal(size=(12 + block, *pixels)) for block in range(blocks))
    kernels = tuple(random.normal(size=(3, *pixels)) for _ in range(blocks))
    spread = np.linspace(0.5, 1.0, blocks)
    return Features(np.ones((1, *pixels)), kernels, kernels, maps, np.zeros(blocks), spread, {})


@pytest.mark.parametrize("pixels", [(8, 8), (64,)], ids=["images", "sequences"])
def test_kernels_and_maps_have_a_row_each(pixels: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    features = invented(*pixels)
    kernels = hyper_kernels({"full": features, "off": features})
    assert kernels is not None
    assert [axes.get_ylabel() for axes in kernels.axes if axes.get_ylabel()] == ["block 1", "block 2"]
    titles = [text.get_text() for axes in kernels.axes for text in axes.texts]
    assert titles == ["full\nK", "K̂", "off\nK", "K̂"]
    maps = feature_maps(features)
    assert [axes.get_ylabel() for axes in maps.axes if axes.get_ylabel()] == ["image", "block 1", "block 2"]
    save(maps, tmp_path_factory.mktemp("figures") / "maps")


def test_no_kernels_no_figure() -> None:
    features = invented(8, 8)
    assert (
        hyper_kernels({"none": Features(features.image, (), (), features.maps, features.mean, features.std, {})})
        is None
    )


def test_depth_shows_mean_and_spread() -> None:
    axes = features_by_depth({"full": invented(8, 8, blocks=5)}).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "4", "5"]
    assert axes.get_ylim()[0] < -0.9
    assert axes.get_ylim()[1] > 0.9
