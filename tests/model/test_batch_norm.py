"""Batch normalisation in one process is PyTorch's; in several: test_global_batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from terminator.model.normalisation import BatchNorm


@pytest.mark.parametrize(("shape", "kind"), [((4, 3, 5), nn.BatchNorm1d), ((4, 3, 5, 6), nn.BatchNorm2d)])
def test_alone_it_is_pytorchs(shape: tuple[int, ...], kind: type[nn.Module]) -> None:
    ours, theirs = BatchNorm(3), kind(3)
    for _ in range(2):
        x = torch.randn(shape)
        assert torch.equal(ours(x), theirs(x))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(shape)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))
