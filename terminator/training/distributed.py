"""Data parallelism: the processes that train one run together, each on its shard of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Distributed:
    """This process's rank among `world_size`. Rank 0 alone writes to the ledger.

    With one process every method is the identity, and nothing is sent.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_environment(cls) -> Distributed:
        """From RANK and WORLD_SIZE, as `torchrun` and jobs of several tasks set them; one process without them."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def connect(self, device: torch.device) -> None:
        """Join the process group at MASTER_ADDR and MASTER_PORT."""
        if self.world_size > 1 and not dist.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            dist.init_process_group(backend, rank=self.rank, world_size=self.world_size)

    def disconnect(self) -> None:
        """Leave the process group."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def shard(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch: every row goes to exactly one process. (B, …) → (B / world_size, …)."""
        return batch[self.rank :: self.world_size]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, the same bits in each of them. Any shape → same."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes, in one exchange."""
        if self.world_size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self.sum(torch.cat([gradient.flatten() for gradient in gradients])) / self.world_size
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def maximum(self, number: int, device: torch.device) -> int:
        """The largest of the processes' numbers."""
        if self.world_size == 1:
            return number
        largest = torch.tensor(number, device=device)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return int(largest)

    def broadcast(self, value: Any) -> Any:
        """The value of rank 0."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]
