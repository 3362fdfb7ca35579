"""Stateless random streams."""

from __future__ import annotations

import torch

from terminator.training.randomness import epoch_order, generator_for, stream_seed


def test_streams_are_functions_of_seed_and_place() -> None:
    assert stream_seed(0, "order", 1) == 0x7C9B834547AC6879 // 2  # sha256 of "0/order/1" begins so
    places = [(0, "order", 1), (1, "order", 1), (0, "order", 11), (0, "augment", 1), (0, "order", 1, 1)]
    seeds = {stream_seed(seed, *place) for seed, *place in places}
    assert len(seeds) == len(places)
    assert all(0 <= seed < 2**63 for seed in seeds)
    draws = [torch.rand(3, generator=generator_for(0, "augment", 7)) for _ in range(2)]
    assert torch.equal(*draws)


def test_every_epoch_sees_every_image_once_in_an_order_of_its_own() -> None:
    first, second = epoch_order(100, seed=0, epoch=0), epoch_order(100, seed=0, epoch=1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(100, seed=0, epoch=0))
