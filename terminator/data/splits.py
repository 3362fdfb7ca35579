"""The images of a run: its three splits, and their batches on the device that trains."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

PIECE = 4096  # images that are copied or counted at once


@dataclass(frozen=True)
class Split:
    """Images (n, C, H, W) or sequences (n, C, L), uint8 or float32, and labels (n), int64.

    They are rows of the `stored` ones, which splits share: all of them, or those that `rows` (n) lists. What is stored
    may be mapped from a file that is larger than the memory; only what `images` is asked for is read.
    """

    stored: Tensor
    labels: Tensor
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> Tensor:
        """All of them, in memory where they are not all that are stored."""
        return self.stored if self.rows is None else self.stored[self.rows]

    @property
    def nbytes(self) -> int:
        """What the images take in memory, in bytes."""
        return len(self) * self.stored[:1].nbytes

    def take(self, indices: Tensor) -> Split:
        """The images at `indices`."""
        return Split(self.stored, self.labels[indices], indices if self.rows is None else self.rows[indices])

    def even_batches(self, largest: int) -> list[Split]:
        """The split in order, in as few batches of at most `largest` as there can be, alike in size to one image.

        Even, as a last batch of a few images would be standardised by their statistics alone.
        """
        count = -(-len(self) // largest)
        labels = self.labels.tensor_split(count)
        if self.rows is None:
            return [Split(*pair) for pair in zip(self.stored.tensor_split(count), labels, strict=True)]
        return [Split(self.stored, *pair) for pair in zip(labels, self.rows.tensor_split(count), strict=True)]

    def to(self, device: torch.device) -> Split:
        """The same split on `device`."""
        if device == self.stored.device:
            return self
        images = torch.empty((len(self), *self.stored.shape[1:]), dtype=self.stored.dtype, device=device)
        for place, piece in zip(images.tensor_split(-(-len(self) // PIECE)), self.even_batches(PIECE), strict=True):
            place.copy_(piece.images)
        return Split(images, self.labels.to(device))


SHARE_OF_MEMORY = 0.25  # of a GPU's free memory, for images that stay there


@dataclass(frozen=True)
class Data:
    """What a run trains on, chooses its epoch by and is tested on. `mean`, `std`: (C, 1, …), of the training pixels."""

    train: Split
    validation: Split
    test: Split
    mean: Tensor
    std: Tensor

    @property
    def device(self) -> torch.device:
        """Where images are standardised, whether or not they are kept there."""
        return self.mean.device

    def standardise(self, images: Tensor) -> Tensor:
        """Per-channel standardisation by the training split's statistics. uint8 or float32 → float32, same shape."""
        return (images.float() - self.mean) / self.std

    def to(self, device: torch.device, *, room: float | None = None) -> Data:
        """The same data for training on `device`: the images too where they take at most `room` bytes in all.

        By default a quarter of the GPU's free memory. Where they don't fit, they stay, and `on_device` sends each
        batch.
        """
        mean, std = self.mean.to(device), self.std.to(device)
        splits = (self.train, self.validation, self.test)
        if room is None and device.type == "cuda":
            room = SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]
        if room is None or sum(split.nbytes for split in splits) <= room:
            splits = (self.train.to(device), self.validation.to(device), self.test.to(device))
        return Data(*splits, mean, std)

    def on_device(self, batches: Iterable[Split]) -> Iterator[Split]:
        """These batches with images and labels on `device`.

        Where the splits are kept elsewhere, the next batches are read and sent, through page-locked memory, while one
        is used.
        """
        kept = self.train.stored.device
        return iter(batches) if kept == self.device else prefetched(batches, self.device)


BATCHES_AHEAD = 2


def prefetched(batches: Iterable[Split], device: torch.device) -> Iterator[Split]:
    """These batches on `device`, in order; a thread reads and sends the next two. An error of it is raised here."""
    pending: deque[Future[Split]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as reader:
        try:
            for batch in batches:
                pending.append(reader.submit(_send, batch, device))
                if len(pending) > BATCHES_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()


def _send(batch: Split, device: torch.device) -> Split:
    tensors = batch.images, batch.labels
    if device.type == "cuda":  # from page-locked memory a copy does not make the GPU wait
        tensors = tensors[0].pin_memory(), tensors[1].pin_memory()
    return Split(*(tensor.to(device, non_blocking=True) for tensor in tensors))
