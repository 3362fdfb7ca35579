"""Standardisation by hand and by its backward formula; population statistics over batches; batch normalisation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from terminator.model.config import Standardisation
from terminator.model.normalisation import (
    BatchNorm,
    BatchStandardise,
    ContextMean,
    GroupedStandardise,
    InstanceStandardise,
    PopulationStatistics,
    g_ibs_ref,
    gather_population_statistics,
)
from tests.model.conftest import SMALL, images, network

SHAPE = (1, 6, 6)


def features(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, channels, 2, 3, dtype=torch.float64, generator=generator)


def test_one_sample_by_hand() -> None:
    x = torch.tensor([[[[0.0, 2.0, 4.0, 6.0]]]], dtype=torch.float64)  # mean 3, variance 5
    expected = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64) / 5.00001**0.5
    for standardise in (InstanceStandardise(), BatchStandardise()):
        torch.testing.assert_close(standardise(x).flatten(), expected)


def test_is_ignores_the_batch_and_bs_does_not() -> None:
    x = features(2)
    torch.testing.assert_close(InstanceStandardise()(x)[:1], InstanceStandardise()(x[:1]))
    together = BatchStandardise()(x)
    torch.testing.assert_close(together.mean((0, 2, 3)), torch.zeros(2, dtype=torch.float64))
    assert not torch.allclose(together[:1], BatchStandardise()(x[:1]))


def test_g_ibs_alternates_between_bs_and_is_by_group() -> None:
    x = features(24)  # twelve groups of two channels
    y, batch, instance = GroupedStandardise(24)(x), BatchStandardise()(x), InstanceStandardise()(x)
    torch.testing.assert_close(y, g_ibs_ref(x))
    for channel in range(24):
        expected = batch if (channel // 2) % 2 == 0 else instance
        torch.testing.assert_close(y[:, channel], expected[:, channel])


@pytest.mark.parametrize("standardise", [InstanceStandardise(), BatchStandardise(), GroupedStandardise(12)])
def test_the_gradient_is_right(standardise: nn.Module) -> None:
    assert torch.autograd.gradcheck(standardise, features(12).requires_grad_())


@pytest.mark.parametrize("standardise", [InstanceStandardise(), GroupedStandardise(12)])
def test_bfloat16_is_standardised_in_float32(standardise: nn.Module) -> None:
    x = features(12).float() + 100  # in bfloat16 itself the mean would swallow everything
    low = x.bfloat16()
    torch.testing.assert_close(standardise(low).float(), standardise(low.float()), atol=1e-2, rtol=1e-2)
    assert standardise(low).dtype is torch.bfloat16


def test_the_context_is_the_mean_over_the_batch() -> None:
    x = features(2)
    torch.testing.assert_close(ContextMean()(x), x.mean(0).flatten(1).t().unsqueeze(0))


@pytest.mark.parametrize(("shape", "kind"), [((4, 3, 5), nn.BatchNorm1d), ((4, 3, 5, 6), nn.BatchNorm2d)])
def test_batch_norm_in_one_process_is_pytorchs(shape: tuple[int, ...], kind: type[nn.Module]) -> None:
    ours, theirs = BatchNorm(3), kind(3)
    for _ in range(2):
        x = torch.randn(shape)
        assert torch.equal(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_moments_of_unequal_batches_merge_exactly() -> None:
    x = torch.randn(10, 3, 2, generator=torch.Generator().manual_seed(0))
    place = PopulationStatistics()
    for batch in (x[:5], x[5:6], x[6:]):
        place.update(batch, [0, 2])
    expected_variance, expected_mean = torch.var_mean(x.double(), [0, 2], correction=0, keepdim=True)
    torch.testing.assert_close(place.mean, expected_mean)
    torch.testing.assert_close(place.variance, expected_variance)


@pytest.mark.parametrize("standardisation", [Standardisation.g_ibs, Standardisation.bs], ids=str)
@torch.no_grad()
def test_with_one_batch_of_everything_they_are_the_batchs(standardisation: Standardisation) -> None:
    data = images(12, SHAPE).double()
    trained = network(replace(SMALL, standardisation=standardisation), SHAPE).eval().double()
    by_batch = trained(data).logits
    gather_population_statistics(trained, [data])
    torch.testing.assert_close(trained(data).logits, by_batch, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("image_shape", [SHAPE, (2, 20)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=str)
@torch.no_grad()
def test_a_prediction_depends_on_its_image_alone(
    dtype: torch.dtype, tolerance: float, image_shape: tuple[int, ...]
) -> None:
    trained, data = network(SMALL, image_shape).to(dtype).eval(), images(24, image_shape).to(dtype)
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


def test_training_keeps_to_the_batchs_statistics() -> None:
    trained, data = network(SMALL, SHAPE).train(), images(8, SHAPE)
    before = trained(data).logits
    gather_population_statistics(trained, [data[:4], data[4:]])
    assert trained.training
    torch.testing.assert_close(trained(data).logits, before, rtol=0, atol=0)
    assert trained.state_dict().keys() == network(SMALL, SHAPE).state_dict().keys()
