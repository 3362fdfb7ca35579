"""The objective, its slow loss and the schedule, by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from terminator.config import Device, MachineConfig, ObjectiveConfig, RunConfig, SlowLoss, TrainingConfig
from terminator.data.config import DataConfig
from terminator.data.load import load
from terminator.errors import UserError
from terminator.model.build import build
from terminator.model.config import Branches, Standardisation
from terminator.training.distributed import Distributed
from terminator.training.randomness import stream_seed
from terminator.training.step import (
    TrainingStep,
    label_smoothed_cross_entropy,
    learning_rate_factor,
    slow_loss,
    total_objective,
)
from tests.training.conftest import with_training


def test_label_smoothing_by_hand() -> None:
    # softmax = (3/4, 1/4); ε = 0.2 on 2 classes: q = (0.9, 0.1) for class 0, (0.1, 0.9) for class 1.
    logits = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]], dtype=torch.float64)
    first = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4)
    second = -0.1 * math.log(3 / 4) - 0.9 * math.log(1 / 4)
    loss = label_smoothed_cross_entropy(logits, torch.tensor([0, 1]), epsilon=0.2)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-12)


def test_addends_are_weighted() -> None:
    objective = total_objective(
        torch.tensor(2.0), torch.tensor(3.0), torch.tensor(100.0), slow_loss_weight=0.5, l2=0.01
    )
    assert [addend.item() for addend in objective] == pytest.approx([4.5, 2.0, 1.5, 1.0])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label_smoothing": 1.0}, r"^objective.label_smoothing=1.0: must be in \[0, 1\)$"),
        ({"penalty": -1e-5}, r"^objective.penalty=-1e-05: must be 0 or a positive number$"),
        ({"slow_loss_weight": float("inf")}, r"^objective.slow_loss_weight=inf: "),
    ],
)
def test_bad_values(fields: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ObjectiveConfig(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["epochs", "batch_size", "evaluation_batch_size", "gradient_accumulation_steps"])
def test_bad_training_values(name: str) -> None:
    with pytest.raises(UserError, match=f"^training.{name}=0: must be at least 1$"):
        TrainingConfig(**{name: 0})  # type: ignore[arg-type]


def test_micro_batches_are_of_one_size() -> None:
    with pytest.raises(UserError, match=r"^training.gradient_accumulation_steps=3: must divide training.batch_size=64"):
        TrainingConfig(gradient_accumulation_steps=3)


def test_cuda_graphs_need_a_compiled_network_and_a_gpu() -> None:
    with pytest.raises(UserError, match=r"^training.cuda_graphs=true: needs training.compile=true$"):
        TrainingConfig(cuda_graphs=True)
    with pytest.raises(UserError, match=r"^training.cuda_graphs=true: needs training.gradient_accumulation_steps=1: "):
        TrainingConfig(compile=True, cuda_graphs=True, gradient_accumulation_steps=2)
    graphs = TrainingConfig(compile=True, cuda_graphs=True)
    with pytest.raises(UserError, match=r"^training.cuda_graphs=true: needs a GPU; machine.device=cpu must be auto"):
        RunConfig(training=graphs, machine=MachineConfig(Device.cpu))
    assert RunConfig(training=graphs).training.cuda_graphs


def test_warm_up_is_not_negative() -> None:
    with pytest.raises(UserError, match=r"^training.warmup_epochs=-1.0: must not be negative$"):
        TrainingConfig(warmup_epochs=-1.0)


def test_warm_up_then_cosine() -> None:
    factors = [learning_rate_factor(step, warmup_steps=4, total_steps=8) for step in range(8)]
    half = 2**-0.5
    assert factors == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, (1 + half) / 2, 0.5, (1 - half) / 2])


def test_without_warm_up_it_starts_at_the_peak_and_would_end_at_zero() -> None:
    assert learning_rate_factor(0, warmup_steps=0, total_steps=10) == 1.0
    assert learning_rate_factor(10, warmup_steps=0, total_steps=10) == pytest.approx(0.0, abs=1e-15)


def test_a_run_shorter_than_its_warm_up_only_rises() -> None:
    assert [learning_rate_factor(step, warmup_steps=4, total_steps=2) for step in range(2)] == [0.25, 0.5]


# two points each; channel sums (1, 2), (3, 3) and (0, 1)
KERNELS = [
    torch.tensor([[[1.0, 2.0]]]),
    torch.tensor([[[1.0, 1.0], [2.0, 2.0]]]),
    torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]]),
]


def test_channel_sum() -> None:
    # pairs: (4 + 1)/2, (1 + 1)/2, (9 + 4)/2
    assert slow_loss(KERNELS, SlowLoss.channel_sum).item() == 10.0


def test_tile_repeats_channels_and_cuts() -> None:
    first = ((1 - 1) ** 2 + (2 - 1) ** 2 + (1 - 2) ** 2 + (2 - 2) ** 2) / 4
    second = (1 + 4 + 1 + 4 + 1 + 1) / 6
    third = (1 + 1 + 4 + 4 + 1 + 0) / 6  # tiled to the channels 1, 2, 1
    torch.testing.assert_close(slow_loss(KERNELS, SlowLoss.tile), torch.tensor(first + second + third))


def test_nothing_to_compare_is_no_loss() -> None:
    assert slow_loss(KERNELS, SlowLoss.off).item() == 0
    for form in SlowLoss:
        assert slow_loss([], form).item() == 0
        assert slow_loss(KERNELS[:1], form).item() == 0


@pytest.fixture
def by_instance(small: RunConfig) -> RunConfig:
    """Nothing is shared by the images of a batch, so that how it is cut changes rounding alone."""
    own = {"standardisation": Standardisation["is"], "branches": Branches(local=False), "dropout": [0.0]}
    model = replace(small.model, **own)  # type: ignore[arg-type]
    data = DataConfig(crop_padding=1, horizontal_flip=True, cutout=3)
    return replace(with_training(small, batch_size=48), model=model, data=data)


def first_network(config: RunConfig) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    return build(config.model, image_shape=(1, 8, 8), classes=10, generator=generator).double().train()


def measures_and_gradients(config: RunConfig) -> list[torch.Tensor]:
    """Of the first step, in float64."""
    data, network = load(config.data), first_network(config)
    data = replace(data, mean=data.mean.double(), std=data.std.double())
    step = TrainingStep(config, network, data, 10, Distributed())
    measures = step(step.micro_batches([torch.arange(48)]), 0)
    return [measures, *(weight.grad for weight in network.parameters() if weight.grad is not None)]


def test_accumulated_gradients_are_those_of_the_whole_batch(by_instance: RunConfig) -> None:
    whole, parts = (
        measures_and_gradients(with_training(by_instance, gradient_accumulation_steps=count)) for count in (1, 3)
    )
    assert len(whole) > 10
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_mixup_weighs_the_losses_of_both_labels(by_instance: RunConfig) -> None:
    mixed = replace(by_instance, data=DataConfig(mixup=0.3))
    data, labels = load(mixed.data), load(mixed.data).train.labels[:48]
    images = data.standardise(data.train.take(torch.arange(48)).images).double()
    share = np.random.default_rng(stream_seed(0, "mixup", 0)).beta(0.3, 0.3)
    network = first_network(mixed)
    logits = network(share * images + (1 - share) * images.flip(0))[0]
    losses = [label_smoothed_cross_entropy(logits, each, 0.09).item() for each in (labels, labels.flip(0))]
    cross_entropy = measures_and_gradients(mixed)[0][1].item()
    assert cross_entropy == pytest.approx(share * losses[0] + (1 - share) * losses[1], rel=1e-6)
    assert abs(losses[0] - losses[1]) > 1e-3
