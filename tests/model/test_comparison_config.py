"""Sizes of the comparison models: what they come to, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from terminator.errors import UserError
from terminator.model.config import ComparisonConfig, ContinuousKernelConfig, LargeKernelConfig, ResNetConfig


def test_a_resnets_stages() -> None:
    assert ResNetConfig(depth=56).stage_blocks() == 9
    assert ResNetConfig().stage_channels() == [16, 32, 64]
    assert ResNetConfig(width=1.7).stage_channels() == [27, 54, 109]
    assert ResNetConfig(width=0.01).stage_channels() == [1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ResNetConfig, {"depth": 18}, r"model\.depth=18: a ResNet's must be 6n \+ 2"),
        (ResNetConfig, {"depth": 2}, r"model\.depth=2: a ResNet's must be 6n \+ 2"),
        (ResNetConfig, {"channels": 0}, r"model\.channels=0: must be at least 1"),
        (LargeKernelConfig, {"kernel": 4}, r"model\.kernel=4: must be odd and positive"),
        (LargeKernelConfig, {"width": 0.0}, r"model\.width=0\.0: must be positive and finite"),
        (ContinuousKernelConfig, {"depth": 0}, r"model\.depth=0: must be at least 1"),
        (ContinuousKernelConfig, {"kernel_hidden": 0}, r"model\.kernel_hidden=0: must be at least 1"),
        (ContinuousKernelConfig, {"omega_0": -1.0}, r"model\.omega_0=-1\.0: must be positive and finite"),
        (ContinuousKernelConfig, {"dropout": 1.0}, r"model\.dropout=1\.0: must be at least 0, below 1"),
    ],
)
def test_bad_sizes_are_refused(kind: type[ComparisonConfig], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        kind(**fields)
