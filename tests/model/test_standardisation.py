"""Standardisation by hand, and its backward formula against differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from terminator.model.normalisation import BatchStandardise, ContextMean, GroupedStandardise, InstanceStandardise


def images(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, channels, 2, 3, dtype=torch.float64, generator=generator)


def test_one_sample_by_hand() -> None:
    x = torch.tensor([[[[0.0, 2.0, 4.0, 6.0]]]], dtype=torch.float64)  # mean 3, variance 5
    expected = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=torch.float64) / 5.00001**0.5
    for standardise in (InstanceStandardise(), BatchStandardise()):
        torch.testing.assert_close(standardise(x).flatten(), expected)


def test_is_ignores_the_batch_and_bs_does_not() -> None:
    x = images(2)
    torch.testing.assert_close(InstanceStandardise()(x)[:1], InstanceStandardise()(x[:1]))
    together = BatchStandardise()(x)
    torch.testing.assert_close(together.mean((0, 2, 3)), torch.zeros(2, dtype=torch.float64))
    assert not torch.allclose(together[:1], BatchStandardise()(x[:1]))


def test_g_ibs_alternates_between_bs_and_is_by_group() -> None:
    x = images(24)  # twelve groups of two channels
    y, batch, instance = GroupedStandardise(24)(x), BatchStandardise()(x), InstanceStandardise()(x)
    for channel in range(24):
        expected = batch if (channel // 2) % 2 == 0 else instance
        torch.testing.assert_close(y[:, channel], expected[:, channel])


@pytest.mark.parametrize("standardise", [InstanceStandardise(), BatchStandardise(), GroupedStandardise(12)])
def test_the_gradient_is_right(standardise: nn.Module) -> None:
    assert torch.autograd.gradcheck(standardise, images(12).requires_grad_())


@pytest.mark.parametrize("standardise", [InstanceStandardise(), GroupedStandardise(12)])
def test_bfloat16_is_standardised_in_float32(standardise: nn.Module) -> None:
    x = images(12).float() + 100  # in bfloat16 itself the mean would swallow everything
    low = x.bfloat16()
    torch.testing.assert_close(standardise(low).float(), standardise(low.float()), atol=1e-2, rtol=1e-2)
    assert standardise(low).dtype is torch.bfloat16


def test_the_context_is_the_mean_over_the_batch() -> None:
    x = images(2)
    torch.testing.assert_close(ContextMean()(x), x.mean(0).flatten(1).t().unsqueeze(0))
