"""Stratified splits by hand."""

from __future__ import annotations

import torch

from terminator.data.load import stratified_split


def test_quotas_by_largest_remainder() -> None:
    # 10 images in classes of 5, 3 and 2; 4 drawn: shares 2, 1.2, 0.8, so quotas 2, 1, 1.
    labels = torch.tensor([0, 1, 0, 2, 0, 1, 0, 2, 0, 1])
    drawn, rest = stratified_split(labels, 4)
    assert torch.bincount(labels[drawn]).tolist() == [2, 1, 1]
    assert torch.bincount(labels[rest]).tolist() == [3, 2, 1]
    assert sorted(drawn.tolist() + rest.tolist()) == list(range(10))


def test_a_draw_never_changes() -> None:
    labels = torch.arange(40) % 4
    drawn, _ = stratified_split(labels, 8)
    torch.manual_seed(7)
    assert torch.equal(drawn, stratified_split(labels, 8)[0])
    assert drawn.tolist() == [0, 2, 3, 6, 7, 8, 9, 29]
