"""Augmentation of training images, a whole batch at a time on its device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from terminator.data.config import DataConfig


@dataclass(frozen=True)
class Draws:
    """What is random about the augmentation of B images.

    `shifts`: (B, 2) int64, of rows and columns; `flips`: (B) bool; `holes`: (B, 2) int64, the pixel at the centre of
    what cutout hides.
    """

    shifts: Tensor
    flips: Tensor
    holes: Tensor

    @classmethod
    def of(cls, config: DataConfig, images: int, generator: torch.Generator) -> Draws:
        """Draw for so many images. `generator` draws on the CPU, so that every device sees the same crops.

        All is drawn for each image even if it is off: switching a flip or cutout on leaves the crops as they were.
        """
        padding, (height, width) = config.crop_padding, config.image_shape[-2:]
        shifts = torch.randint(-padding, padding + 1, (2, images), generator=generator).t()
        flips = torch.rand(images, generator=generator) < 0.5
        rows, columns = (torch.randint(size, (images,), generator=generator) for size in (height, width))
        return cls(shifts, flips & config.horizontal_flip, torch.stack([rows, columns], dim=1))

    def at(self, positions: Tensor) -> Draws:
        """Those of the images at `positions` of the batch."""
        return Draws(self.shifts[positions], self.flips[positions], self.holes[positions])


def crop_and_flip(images: Tensor, draws: Draws) -> Tensor:
    """Crop each image at random from itself with symmetric padding, and flip some. (B, C, H, W) → same."""
    _, channels, height, width = images.shape
    shifts, flips = draws.shifts.to(images.device), draws.flips.to(images.device)
    rows = mirror(torch.arange(height, device=images.device) + shifts[:, :1], height)  # (B, H)
    columns = mirror(torch.arange(width, device=images.device) + shifts[:, 1:], width)  # (B, W)
    columns = torch.where(flips[:, None], columns.flip(1), columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (B, H·W)
    return images.flatten(2).gather(2, pixels[:, None].expand(-1, channels, -1)).view_as(images)


def mirror(positions: Tensor, size: int) -> Tensor:
    """Where a position up to `size` outside 0 … size − 1 lies under symmetric padding: the edge pixel is repeated."""
    positions = torch.where(positions < 0, -positions - 1, positions)
    return torch.where(positions >= size, 2 * size - 1 - positions, positions)


def cutout(images: Tensor, draws: Draws, size: int) -> Tensor:
    """Hide a square of `size` by `size` pixels, cut off at the edges, of each standardised image: it becomes 0.

    DeVries and Taylor 2017, arXiv 1708.04552. (B, C, H, W) → same.
    """
    _, _, height, width = images.shape
    first = draws.holes.to(images.device) - size // 2
    rows, columns = (torch.arange(length, device=images.device) for length in (height, width))
    in_rows = (rows >= first[:, :1]) & (rows < first[:, :1] + size)  # (B, H)
    in_columns = (columns >= first[:, 1:]) & (columns < first[:, 1:] + size)  # (B, W)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0.0)


def mixup(images: Tensor, share: float) -> Tensor:
    """`share` of each image and the rest of its partner, the last image's being the first. (B, …) → same.

    Zhang et al. 2018, arXiv 1710.09412; batches are in random order, so their reverse is a random pairing.
    """
    return torch.lerp(images.flip(0), images, share)
