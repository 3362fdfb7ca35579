"""Batches on the device that trains."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from terminator.data.splits import BATCHES_AHEAD, Split, prefetched

CPU = torch.device("cpu")


def batches(count: int) -> Iterator[Split]:
    stored = torch.arange(2 * count, dtype=torch.uint8).reshape(-1, 1)
    return (Split(stored, torch.tensor([number] * 2), torch.tensor([number, number + 1])) for number in range(count))


@pytest.mark.parametrize("count", [0, 1, BATCHES_AHEAD, 7])
def test_prefetched_batches_are_the_same_in_order(count: int) -> None:
    expected = [(batch.images.tolist(), batch.labels.tolist()) for batch in batches(count)]
    assert [(batch.images.tolist(), batch.labels.tolist()) for batch in prefetched(batches(count), CPU)] == expected


def test_an_error_in_reading_is_raised_in_its_place() -> None:
    broken = Split(torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), torch.tensor([5]))
    found = prefetched([next(batches(1)), broken, next(batches(1))], CPU)
    next(found)
    with pytest.raises(IndexError):
        next(found)


def test_no_thread_is_left_where_the_batches_are_not_used_up() -> None:
    before = threading.active_count()
    found = prefetched(batches(7), CPU)
    next(found)
    assert threading.active_count() == before + 1
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_the_size_of_a_split_is_that_of_its_own_rows() -> None:
    assert Split(torch.zeros(10, 3, 4), torch.zeros(2), torch.tensor([0, 1])).nbytes == 2 * 3 * 4 * 4
