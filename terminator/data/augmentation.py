"""Random crop and flip of a whole batch at once (spec §8)."""

from __future__ import annotations

import torch
from torch import Tensor


def augment(images: Tensor, *, crop_padding: int, horizontal_flip: bool, generator: torch.Generator) -> Tensor:
    """Crop each image at random from itself with symmetric padding, and flip half of them. (B, C, H, W) → same.

    `generator` draws on the CPU, whatever the images' device, so that every device sees the same crops. Two shifts and
    a flip are drawn for each image even if one of them is off: switching a flip on leaves the crops as they were.
    """
    batch, _, height, width = images.shape
    shifts = torch.randint(-crop_padding, crop_padding + 1, (2, batch, 1), generator=generator)
    flips = torch.rand(batch, 1, generator=generator) < 0.5
    rows = mirror(torch.arange(height) + shifts[0], height)  # (B, H)
    columns = mirror(torch.arange(width) + shifts[1], width)  # (B, W)
    if horizontal_flip:
        columns = torch.where(flips, columns.flip(1), columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).flatten(1).to(images.device)  # (B, H·W)
    return images.flatten(2).gather(2, pixels[:, None].expand(-1, images.shape[1], -1)).view_as(images)


def mirror(positions: Tensor, size: int) -> Tensor:
    """Where a position up to `size` outside 0 … size − 1 lies under symmetric padding: the edge pixel is repeated."""
    positions = torch.where(positions < 0, -positions - 1, positions)
    return torch.where(positions >= size, 2 * size - 1 - positions, positions)
