"""Batch normalisation, with its affine part and running statistics (Ioffe and Szegedy 2015, 1502.03167)."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from terminator.model.global_batch import batch_mean, is_spread


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's, on images and sequences, (B, C, *pixels) → same; over all processes that a batch is spread over
    (PyTorch's own for that, SyncBatchNorm, takes tensors on a GPU alone)."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and is_spread()):
            return super().forward(x)
        channels = (1, -1, *[1] * (x.dim() - 2))
        mean = batch_mean(x.flatten(2).mean(2))  # (1, C)
        variance = batch_mean((x - mean.view(channels)).square().flatten(2).mean(2))
        self._follow(mean[0], variance[0], x)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (x - mean.view(channels)) * scale.view(channels) + self.bias.view(channels)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, x: Tensor) -> None:
        """Move the running statistics towards the batch's, its variance unbiased."""
        count = variance.new_tensor(x.shape[0] * x.shape[2:].numel())
        dist.all_reduce(count)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        self.num_batches_tracked += 1
