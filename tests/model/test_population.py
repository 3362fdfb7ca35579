"""Population statistics: exact over batches, and predictions free of their batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from terminator.model.build import build
from terminator.model.config import Standardisation, TerminatorConfig
from terminator.model.normalisation import (
    PopulationStatistics,
    forget_population_statistics,
    gather_population_statistics,
)
from terminator.model.networks.terminator import Terminator

SMALL = TerminatorConfig(
    depth=3,
    channels=[12],
    global_hidden=4,
    local_hidden=4,
    channel_hidden=4,
    interaction_spatial_hidden=4,
    dropout=[0.0],
)


def network(config: TerminatorConfig = SMALL, image_shape: tuple[int, ...] = (1, 6, 6)) -> Terminator:
    built = build(config, image_shape=image_shape, classes=4, generator=torch.Generator().manual_seed(0))
    assert isinstance(built, Terminator)
    return built


def images(count: int, image_shape: tuple[int, ...] = (1, 6, 6)) -> Tensor:
    return torch.randn(count, *image_shape, generator=torch.Generator().manual_seed(1))


def test_moments_of_unequal_batches_merge_exactly() -> None:
    x = torch.randn(10, 3, 2, generator=torch.Generator().manual_seed(0))
    place = PopulationStatistics()
    for batch in (x[:5], x[5:6], x[6:]):
        place.observe(batch, [0, 2])
    expected_variance, expected_mean = torch.var_mean(x.double(), [0, 2], correction=0, keepdim=True)
    torch.testing.assert_close(place.mean, expected_mean)
    torch.testing.assert_close(place.variance, expected_variance)


@pytest.mark.parametrize("standardisation", [Standardisation.g_ibs, Standardisation.bs], ids=str)
@torch.no_grad()
def test_with_one_batch_of_everything_they_are_the_batchs(standardisation: Standardisation) -> None:
    trained, data = network(replace(SMALL, standardisation=standardisation)).eval().double(), images(12).double()
    by_batch = trained(data).logits
    gather_population_statistics(trained, [data])
    torch.testing.assert_close(trained(data).logits, by_batch, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("image_shape", [(1, 6, 6), (2, 20)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str)
@torch.no_grad()
def test_a_prediction_depends_on_its_image_alone(
    dtype: torch.dtype, tolerance: float, image_shape: tuple[int, ...]
) -> None:
    trained, data = network(image_shape=image_shape).to(dtype).eval(), images(24, image_shape).to(dtype)
    by_batch = trained(data[:6]).logits
    gather_population_statistics(trained, data.split(8))
    assert not trained.training
    together = trained(data).logits
    scale = together.abs().max().item()
    for part in (data[:6], data[:1]):
        torch.testing.assert_close(trained(part).logits, together[: len(part)], rtol=0, atol=tolerance * scale)
    with trained.fixed_kernels():
        torch.testing.assert_close(trained(data).logits, together, rtol=0, atol=tolerance * scale)
    assert not torch.allclose(by_batch, together[:6], rtol=1e-3)

    forget_population_statistics(trained)
    torch.testing.assert_close(trained(data[:6]).logits, by_batch, rtol=0, atol=0)


def test_training_keeps_to_the_batchs_statistics() -> None:
    trained, data = network().train(), images(8)
    before = trained(data).logits
    gather_population_statistics(trained, [data[:4], data[4:]])
    assert trained.training
    torch.testing.assert_close(trained(data).logits, before, rtol=0, atol=0)
    assert trained.state_dict().keys() == network().state_dict().keys()
