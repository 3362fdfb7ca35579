"""The processes that train one run together, each on its share of every batch (data parallelism)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from terminator.data.load import Split


@dataclass(frozen=True)
class Processes:
    """This process's rank among `count`. The first one speaks for all: it alone writes to the ledger.

    With one process every method is the identity, and nothing is sent.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def from_environment(cls) -> Processes:
        """As `torchrun` and multi-task jobs tell: RANK and WORLD_SIZE; alone where they are not set."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def connect(self, device: torch.device) -> None:
        """Join the group, through MASTER_ADDR and MASTER_PORT."""
        if self.count > 1 and not dist.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, rank=self.rank, world_size=self.count)

    def disconnect(self) -> None:
        """Leave the group."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def share(self, batch: Split) -> Split:
        """This process's images of a batch: every image goes to exactly one process."""
        return (
            batch
            if self.count == 1
            else Split(batch.images[self.rank :: self.count], batch.labels[self.rank :: self.count])
        )

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same bits in each of them. Any shape → same."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes, in one exchange."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients])) / self.count
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def agree(self, number: int, device: torch.device) -> int:
        """The largest of the processes' numbers: what one was told, all do, and at the same step."""
        if self.count == 1:
            return number
        largest = torch.tensor(number, device=device)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest)

    def from_first(self, value: Any) -> Any:
        """The first process's value."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]
