"""Standardisation, not normalisation: no affine parameters, no running statistics (docs/architecture.md §3). Statistics
are those of the whole batch, over all distributed ranks, or of the population."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.model.config import GROUPS, Standardisation
from terminator.model.ops import at_least_float32, over_pixels, pixel_axes

EPSILON = 1e-5


def instance_standardise(x: Tensor) -> Tensor:
    """IS: per sample and channel, over the pixels. (B, C, *pixels) → same."""
    return _standardise(x, None)


class InstanceStandardise(nn.Module):
    """IS as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return instance_standardise(x)


class BatchStandardise(nn.Module):
    """BS: per channel, over batch and pixels; by the population's statistics where they are in use. (B, C, *pixels) →
    same."""

    def __init__(self) -> None:
        super().__init__()
        self.population = PopulationStatistics()

    def forward(self, x: Tensor) -> Tensor:
        if self.population.is_used:
            return _affine(x, self.population.mean, self.population.variance)
        if self.population.is_gathering:
            self.population.update(x, _without_channels(x))
        if is_distributed():
            return _standardise(x, torch.ones(x.shape[1], dtype=torch.bool, device=x.device))
        return F.batch_norm(x, None, None, training=True, eps=EPSILON)


class GroupedStandardise(nn.Module):
    """G-IBS: of 12 equal groups of channels, even ones get BS, odd ones IS. (B, C, *pixels) → same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.population = PopulationStatistics()
        is_even = torch.arange(GROUPS) % 2 == 0
        self.batch_channels: Tensor
        self.register_buffer("batch_channels", is_even.repeat_interleave(channels // GROUPS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.population.is_gathering:
            self.population.update(x, _without_channels(x))
        if not self.population.is_used:
            return _standardise(x, self.batch_channels)
        variance, mean = torch.var_mean(x, pixel_axes(x), correction=0, keepdim=True)
        is_batch = over_pixels(self.batch_channels, x)
        return _affine(
            x,
            torch.where(is_batch, self.population.mean.to(mean), mean),
            torch.where(is_batch, self.population.variance.to(mean), variance),
        )


class ContextMean(nn.Module):
    """The mean over the batch that local kernels depend on; the population's where it is in use. (B, C, *pixels) →
    rows (1, pixels, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.population = PopulationStatistics()

    def forward(self, x: Tensor) -> Tensor:
        if self.population.is_gathering:
            self.population.update(x, [0])
        used = self.population.is_used
        mean = self.population.mean.to(x) if used else _batch_mean(x)
        return mean.flatten(2).transpose(1, 2)


def _batch_mean(x: Tensor) -> Tensor:
    """Taken as x lies in memory, channels last, which is ten times as quick. (B, C, *pixels) → (1, C, *pixels)."""
    return batch_mean(at_least_float32(x).movedim(1, -1)).movedim(-1, 1)


def build_standardisation(kind: Standardisation, channels: int) -> nn.Module:
    """What follows the bottleneck. The two norms of the axis have PyTorch's affine parameters."""
    if kind is Standardisation.g_ibs:
        return GroupedStandardise(channels)
    if kind is Standardisation.bs:
        return BatchStandardise()
    if kind is Standardisation["is"]:
        return InstanceStandardise()
    if kind is Standardisation.batch_norm:
        return BatchNorm(channels)
    if kind is Standardisation.group_norm:
        return nn.GroupNorm(GROUPS, channels)
    return nn.Identity()


def _standardise(x: Tensor, batch_channels: Tensor | None) -> Tensor:
    """(x − mean) / sqrt(variance + ε) over the pixels, and over the batch too in the channels `batch_channels`."""
    if torch.compiler.is_compiling():  # the compiler fuses the plain form, and makes its own backward
        return _standardised(x, batch_channels)[0]
    y: Tensor = _Standardise.apply(x, batch_channels)  # type: ignore[no-untyped-call]
    return y


def _standardised(x: Tensor, batch_channels: Tensor | None) -> tuple[Tensor, Tensor]:
    """The standardised x (B, C, *pixels), and 1 / sqrt(variance + ε), (B, C, 1, …); bfloat16 by way of float32."""
    precise = at_least_float32(x)
    centred = precise - _over_batch(precise.mean(pixel_axes(x), keepdim=True), batch_channels)
    variance = _over_batch(centred.square().mean(pixel_axes(x), keepdim=True), batch_channels)
    scale = torch.rsqrt(variance + EPSILON)
    return (centred * scale).to(x.dtype), scale


def standardise_ref(x: Tensor, dims: list[int]) -> Tensor:
    """BS or IS by their formula, over `dims` of x."""
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON)


def g_ibs_ref(x: Tensor) -> Tensor:
    """G-IBS group by group. (B, C, *pixels) → same."""
    dims = [_without_channels(x), pixel_axes(x)]
    return torch.cat([standardise_ref(group, dims[i % 2]) for i, group in enumerate(x.chunk(GROUPS, dim=1))], dim=1)


class _Standardise(torch.autograd.Function):
    """`_standardised` with its backward by hand, in half the passes over memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, batch_channels: Tensor | None) -> Tensor:
        y, scale = _standardised(x, batch_channels)
        ctx.save_for_backward(y, scale, batch_channels)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        saved, scale, batch_channels = ctx.saved_tensors
        y, gradient = at_least_float32(saved), at_least_float32(gradients[0])
        mean = _over_batch(gradient.mean(pixel_axes(y), keepdim=True), batch_channels)
        along = _over_batch((gradient * y).mean(pixel_axes(y), keepdim=True), batch_channels)
        return torch.addcmul(gradient - mean, y, along, value=-1).mul_(scale).to(saved.dtype), None


def _over_batch(statistic: Tensor, batch_channels: Tensor | None) -> Tensor:
    """Average a statistic (B, C, 1, …) of samples over the batch in the channels `batch_channels`."""
    if batch_channels is None:
        return statistic
    return torch.where(over_pixels(batch_channels, statistic), global_mean(statistic), statistic)


def _affine(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    scale = torch.rsqrt(variance + EPSILON)
    return torch.addcmul((-mean * scale).to(x.dtype), x, scale.to(x.dtype))


def _without_channels(x: Tensor) -> list[int]:
    return [0, *pixel_axes(x)]


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """PyTorch's, on images and sequences, (B, C, *pixels) → same; over all ranks that a batch is spread over
    (PyTorch's own for that, SyncBatchNorm, takes tensors on a GPU alone)."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes will do."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and is_distributed()):
            return super().forward(x)
        channels = (1, -1, *[1] * (x.dim() - 2))
        mean = batch_mean(x.flatten(2).mean(2))  # (1, C)
        variance = batch_mean((x - mean.view(channels)).square().flatten(2).mean(2))
        self._update_running(mean[0], variance[0], x)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (x - mean.view(channels)) * scale.view(channels) + self.bias.view(channels)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor, x: Tensor) -> None:
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


def is_distributed() -> bool:
    """Whether the batch is spread over several ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def global_mean(x: Tensor) -> Tensor:
    """Mean over the first dimension over all ranks, each with as many rows as it has: (B, …) → (1, …).

    Not differentiable: for use inside backward formulas.
    """
    if not is_distributed():
        return x.mean(0, keepdim=True)
    total = torch.cat([x.sum(0).flatten(), x.new_tensor([len(x)])])
    dist.all_reduce(total)
    return (total[:-1] / total[-1]).view(1, *x.shape[1:])


def batch_mean(x: Tensor) -> Tensor:
    """`global_mean`, differentiable: gradients flow to every rank's rows."""
    if not is_distributed():
        return x.mean(0, keepdim=True)
    mean: Tensor = _BatchMean.apply(x)  # type: ignore[no-untyped-call]
    return mean


class _BatchMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rows = torch.tensor([len(x)], device=x.device)
        dist.all_reduce(rows)
        ctx.shape, ctx.rows = x.shape, int(rows)
        return global_mean(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        of_row: Tensor = gradient / ctx.rows
        return of_row.expand(ctx.shape)


class PopulationStatistics(nn.Module):
    """Mean and biased variance of one place in a network over a whole set, merged exactly from those of its batches.

    They replace the batch's statistics in evaluation mode, once gathered. Not part of the state that is saved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_gathering = False
        self.reset()

    def reset(self) -> None:
        """Go back to the batch's statistics."""
        self.count = 0
        self.mean = self.variance = torch.zeros(())

    @property
    def is_used(self) -> bool:
        """Whether these statistics replace the batch's now."""
        return self.count > 0 and not self.training and not self.is_gathering

    @torch.no_grad()
    def update(self, x: Tensor, dims: list[int]) -> None:
        """Add a batch (B, …): its statistics over `dims`, weighted by B (Chan et al. 1979)."""
        variance, mean = torch.var_mean(x.double(), dims, correction=0, keepdim=True)
        weight = len(x) / (self.count + len(x))
        shift = mean - self.mean.to(mean)
        self.variance = (
            torch.lerp(self.variance.to(mean).expand_as(mean), variance, weight) + weight * (1 - weight) * shift**2
        )
        self.mean = self.mean.to(mean) + weight * shift
        self.count += len(x)


@torch.no_grad()
def gather_population_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """One pass over `batches` of images (B, C, *pixels); from then on evaluation mode's predictions ignore their batch.

    Each batch goes through the network as in training, standardised by its own statistics but without dropout, and what
    is gathered is the exact mean and variance over all images of what each place saw: the statistics that the layers
    were trained with, not those of an average over the last steps. (Statistics given the population's own at earlier
    layers would need one pass a layer, and differ from these by the batches' scatter alone.)
    """
    places = [module for module in network.modules() if isinstance(module, PopulationStatistics)]
    was_training = network.training
    network.eval()
    for place in places:
        place.reset()
        place.is_gathering = True
    try:
        for images in batches:
            network(images)
    finally:
        for place in places:
            place.is_gathering = False
        network.train(was_training)
