"""What all comparison models share: shapes, gradients, their weights' source, the penalty."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from terminator.errors import UserError
from terminator.model.classifier import Classifier, ComparisonConfig, Output
from terminator.model.config import ModelConfig
from terminator.model.networks.ckcnn import ContinuousKernelConfig
from terminator.model.networks.large_kernel_cnn import LargeKernelConfig
from terminator.model.networks.resnet import ResNetConfig
from tests.model.conftest import network

SMALL = [
    ResNetConfig(depth=8, channels=4),
    LargeKernelConfig(depth=2, channels=6, kernel=5),
    ContinuousKernelConfig(depth=2, channels=6, kernel_hidden=8),
]
SHAPES = [(3, 8, 8), (1, 6, 10), (2, 20)]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.architecture)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_and_sequences_become_logits_and_every_parameter_learns(
    config: ModelConfig, shape: tuple[int, ...]
) -> None:
    built = network(config, shape, classes=5)
    output = built(torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)))
    assert isinstance(output, Output)
    assert output.logits.shape == (4, 5)
    assert output.kernels == ()
    nn.functional.cross_entropy(output.logits, torch.arange(4)).backward()
    # A bias in front of a standardisation has no gradient but for rounding (§9.6).
    weights = {name: weight for name, weight in built.named_parameters() if not name.endswith("bias")}
    assert all(parameter.grad is not None for parameter in built.parameters())
    assert [name for name, weight in weights.items() if not weight.grad.any()] == []


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.architecture)
def test_the_generator_alone_decides_the_weights(config: ModelConfig) -> None:
    torch.manual_seed(1)
    first = network(config, (3, 8, 8)).state_dict()
    torch.manual_seed(2)
    again, other = network(config, (3, 8, 8)).state_dict(), network(config, (3, 8, 8), seed=7).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.architecture)
def test_predictions_of_a_trained_network_ignore_the_batch(config: ModelConfig) -> None:
    built = network(config, (3, 8, 8)).double()
    images = torch.randn(6, 3, 8, 8, dtype=torch.float64)
    built(images)
    built.eval()
    torch.testing.assert_close(built(images).logits[:2], built(images[:2]).logits, rtol=1e-12, atol=1e-12)


def test_the_penalty_is_the_sum_of_norms_without_the_head() -> None:
    features = nn.Sequential(nn.Conv1d(1, 2, 1))
    network = Classifier(features, 2, 3, generator=torch.Generator())
    with torch.no_grad():
        features[0].weight.copy_(torch.tensor([[[3.0]], [[4.0]]]))
        features[0].bias.copy_(torch.tensor([5.0, 12.0]))
    assert network.penalty().item() == pytest.approx(5 + 13)


def test_the_penalty_leaves_out_the_networks_that_make_kernels() -> None:
    built = network(ContinuousKernelConfig(depth=1, channels=3), (1, 8))
    expected = sum(
        math.sqrt(parameter.square().sum().item())
        for name, parameter in built.named_parameters()
        if not name.startswith("head") and ".kernel." not in name
    )
    assert built.penalty().item() == pytest.approx(expected, rel=1e-6)


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
