"""Features joined by their channels, in values, gradients and layout."""

from __future__ import annotations

import torch

from terminator.model.ops import channels_last, concatenate, tile_channels


def test_tiling_repeats_in_order_and_cuts() -> None:
    x = torch.tensor([[[1.0], [2.0], [3.0]]])
    assert tile_channels(x, 7).flatten().tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert tile_channels(x, 2).flatten().tolist() == [1, 2]


def test_concatenation_is_channels_last_and_hands_back_gradients_in_each_features_layout() -> None:
    first = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    last = channels_last(torch.randn(2, 5, 4, 4, dtype=torch.float64))
    features = [first.requires_grad_(), last.requires_grad_()]
    joined = concatenate(features)
    assert torch.equal(joined, torch.cat(features, dim=1))
    assert joined.is_contiguous(memory_format=torch.channels_last)
    probe = torch.randn(2, 8, 4, 4, dtype=torch.float64)
    of_first, of_last = torch.autograd.grad((joined * probe).sum(), features)
    assert torch.equal(of_first, probe[:, :3])
    assert torch.equal(of_last, probe[:, 3:])
    assert of_first.is_contiguous()
    assert of_last.is_contiguous(memory_format=torch.channels_last)
