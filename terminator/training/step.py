"""One update of the parameters (§8)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terminator.config import RunConfig, SlowLoss, Source
from terminator.data.augment import Draws, crop_and_flip, cutout, mixup
from terminator.data.splits import Data, Split
from terminator.model.ops import at_least_float32, tile_channels
from terminator.training.distributed import Distributed
from terminator.training.evaluation import autocast
from terminator.training.optimizer import build_optimizer
from terminator.training.randomness import generator_for, stream_seed

MEASURES = ("loss", "cross_entropy", "slow_loss", "penalty", "accuracy")


Target = tuple[float, Tensor]  # labels (B), int64, and their share of the loss


@dataclass(eq=False)
class TrainingStep:
    """Augment, predict, differentiate, update. What a step does is a pure function of the seed and of its number."""

    config: RunConfig
    network: nn.Module
    data: Data
    steps_per_epoch: int
    distributed: Distributed

    def __post_init__(self) -> None:
        training, mode = self.config.training, "reduce-overhead" if self.config.training.cuda_graphs else None
        self.predict = torch.compile(self.network, mode=mode) if training.compile else self.network
        self.optimizer = build_optimizer(self.config.optimizer, self.network)
        training = self.config.training
        places = self.distributed.shard(torch.arange(training.batch_size))
        self.places: tuple[Tensor, ...] = places.chunk(training.gradient_accumulation_steps)

    def micro_batches(self, batches: Iterable[Tensor]) -> Iterator[Split]:
        """This process's micro-batches of training images, where each of `batches` lists those of a step, (B) int64."""
        count = len(self.places)
        parts = (part for batch in batches for part in self.distributed.shard(batch).chunk(count))
        return self.data.on_device(map(self.data.train.take, parts))

    def __call__(self, micro_batches: Iterator[Split], number: int) -> Tensor:
        """Step `number` of the run, from 0: the gradients of the next micro-batches, averaged, and one update.

        Returns what MEASURES names, (len(MEASURES)) float64: means over this process's images.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(number)
        seed, data = self.config.seed_for(Source.order), self.config.data
        draws = None
        if data.crop_padding or data.horizontal_flip or data.cutout:
            # Of the whole batch: the crops then don't depend on the number of processes or of micro-batches.
            draws = Draws.of(data, self.config.training.batch_size, generator_for(seed, "augment", number))
        share = (
            np.random.default_rng(stream_seed(seed, "mixup", number)).beta(data.mixup, data.mixup) if data.mixup else 1
        )
        torch.manual_seed(stream_seed(seed, "dropout", number, self.distributed.rank))
        self.optimizer.zero_grad()
        measures = [
            self._differentiate(next(micro_batches), draws and draws.at(places), share) for places in self.places
        ]
        self.distributed.average_gradients(self.network.parameters())
        self.optimizer.step()
        return torch.stack(measures).mean(0)

    def _differentiate(self, batch: Split, draws: Draws | None, share: float) -> Tensor:
        """Add the gradients of a micro-batch, in its share of the step's. Returns what MEASURES names.

        `share`: of each image in its mixture with its partner; 1 without mixup.
        """
        targets = [(1.0, batch.labels)]
        if self.config.data.mixup:
            targets = [(share, batch.labels), (1 - share, batch.labels.flip(0))]
        with autocast(batch.labels.device, self.config.training.precision):
            logits, kernels = self.predict(self.inputs(batch.images, draws, share))
        objective = self._objective(at_least_float32(logits), kernels, targets)
        (objective.loss / len(self.places)).backward()  # type: ignore[no-untyped-call]
        right = logits.argmax(1)
        accuracy = sum(part * (right == labels).double().mean() for part, labels in targets)
        return torch.stack([*objective, accuracy]).detach().double()

    def inputs(self, images: Tensor, draws: Draws | None, share: float) -> Tensor:
        """What the network sees of a micro-batch: augmented and standardised, (B, C, …) float32."""
        data = self.config.data
        images = self.data.standardise(images if draws is None else crop_and_flip(images, draws))
        if draws is not None and data.cutout:
            images = cutout(images, draws, data.cutout)
        return mixup(images, share) if data.mixup else images

    def learning_rate(self, number: int) -> float:
        """The rate of step `number`."""
        training = self.config.training
        factor = learning_rate_factor(
            number,
            warmup_steps=round(training.warmup_epochs * self.steps_per_epoch),
            total_steps=training.epochs * self.steps_per_epoch,
        )
        return self.config.optimizer.lr * factor

    def _objective(self, logits: Tensor, kernels: tuple[Tensor, ...], targets: Sequence[Target]) -> Objective:
        """`network.penalty()` is the sum of norms that every family of networks defines."""
        config = self.config.objective
        cross_entropies = [
            share * label_smoothed_cross_entropy(logits, labels, config.label_smoothing) for share, labels in targets
        ]
        return total_objective(
            torch.stack(cross_entropies).sum(),
            slow_loss(kernels, config.slow_loss).to(logits.device),
            self.network.penalty() if config.penalty else logits.new_zeros(()),  # type: ignore[operator]
            slow_loss_weight=config.slow_loss_weight,
            l2=config.penalty,
        )


class Objective(NamedTuple):
    """The loss and its three addends, each already weighted; scalars."""

    loss: Tensor
    cross_entropy: Tensor
    slow_loss: Tensor
    penalty: Tensor


def label_smoothed_cross_entropy(logits: Tensor, targets: Tensor, epsilon: float) -> Tensor:
    """−Σ_k q_k log softmax(logits)_k, q = (1−ε)·one-hot + ε/classes; batch mean. (B, classes), (B) → scalar."""
    return F.cross_entropy(logits, targets, label_smoothing=epsilon)


def channel_sum_loss(kernels: Sequence[Tensor]) -> Tensor:
    """Σ over pairs j < i of mean((Σ_c K_j − Σ_c K_i)²). Kernels (1, C_i, *pixels), at least one → scalar."""
    sums = torch.stack([kernel.sum(1).flatten() for kernel in kernels])
    # over all pairs, Σ (s_j − s_i)² = n Σ (s_i − mean)²
    return len(kernels) * (sums - sums.mean(0)).square().sum(0).mean()


def tile_loss(kernels: Sequence[Tensor]) -> Tensor:
    """Σ over pairs j < i of mean((tile_channels(K_j) − K_i)²). Kernels (1, C_i, *pixels), at least one → scalar."""
    pairs = [
        (tile_channels(first, second.shape[1]) - second).square().mean() for first, second in combinations(kernels, 2)
    ]
    return torch.stack(pairs).sum() if pairs else kernels[0].new_zeros(())


def slow_loss(kernels: Sequence[Tensor], form: SlowLoss) -> Tensor:
    """The slow neural loss, local feedback to the slow networks only (§8), in this form; 0 where it is off, or
    where no block has a global slow network. Scalar."""
    if form is SlowLoss.off or not kernels:
        return torch.zeros((), device=kernels[0].device if kernels else None)
    return channel_sum_loss(kernels) if form is SlowLoss.channel_sum else tile_loss(kernels)


def total_objective(
    cross_entropy: Tensor, slow_loss: Tensor, penalty: Tensor, *, slow_loss_weight: float, l2: float
) -> Objective:
    """Weigh and add the three addends (§8); scalars. `penalty` is the sum of norms, without its factor l2."""
    weighted_slow_loss, weighted_penalty = slow_loss_weight * slow_loss, l2 * penalty
    loss = cross_entropy + weighted_slow_loss + weighted_penalty
    return Objective(loss, cross_entropy, weighted_slow_loss, weighted_penalty)


def learning_rate_factor(step: int, *, warmup_steps: int, total_steps: int) -> float:
    """The factor of the peak learning rate that step `step` (from 0) of `total_steps` is taken with.

    Warm-up rises from 1/warmup_steps, the "≈ 0" of §8, to 1 at the last of its steps; the cosine then falls and
    would reach 0 at step `total_steps`, the first one not taken. A run shorter than its warm-up never falls.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / (total_steps - warmup_steps)))
