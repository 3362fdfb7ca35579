"""Two processes train as one does."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from terminator.config import OptimizerConfig, OptimizerName, RunConfig
from terminator.data.config import DataConfig
from terminator.data.load import load
from terminator.job import execute
from terminator.ledger import RunState
from terminator.model.build import build
from terminator.training.device import prepare_device
from terminator.training.distributed import Distributed
from terminator.training.randomness import epoch_order, generator_for
from terminator.training.step import TrainingStep
from tests.training.conftest import Freeze, ended, finish, start, with_training

DTYPES = {torch.float32: 1e-6, torch.float64: 1e-10}  # with relative tolerances


def test_every_image_goes_to_exactly_one_process() -> None:
    batch = torch.arange(6)
    assert [Distributed(rank, 3).shard(batch).tolist() for rank in range(3)] == [[0, 3], [1, 4], [2, 5]]
    assert torch.equal(Distributed().shard(batch), batch)


@pytest.fixture
def smooth(small: RunConfig) -> RunConfig:
    """Without what differs by nature: dropout draws of its own in each process, and signs, which magnify rounding."""
    return replace(
        with_training(small, epochs=3),
        model=replace(small.model, dropout=[0.0]),  # type: ignore[type-var]
        data=DataConfig(crop_padding=1, horizontal_flip=True),
        optimizer=OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=0.1),
    )


def ten_steps(config: RunConfig, distributed: Distributed, dtype: torch.dtype) -> list[float]:
    """Train as the loop does, but for its book-keeping. Returns the loss of each step over the batch."""
    data = load(config.data)
    data = replace(data, mean=data.mean.to(dtype), std=data.std.to(dtype))
    shape, generator = config.data.input_shape, generator_for(config.seed, "weights")
    network = build(config.model, image_shape=shape, classes=10, generator=generator).train()
    if dtype is torch.float64:
        network.double()
    step = TrainingStep(config, network, data, steps_per_epoch=10, distributed=distributed)
    order = epoch_order(len(data.train), seed=config.seed, epoch=0)
    micro_batches = step.micro_batches(torch.split(order, config.training.batch_size))
    sums = [distributed.sum(step(micro_batches, number)) for number in range(10)]
    return [measures[0].item() / distributed.world_size for measures in sums]


def write_ten_steps(config: RunConfig, folder: Path) -> None:
    distributed = Distributed.from_environment()
    distributed.connect(prepare_device(config.machine))
    losses = [ten_steps(config, distributed, dtype) for dtype in DTYPES]
    (folder / f"losses.{distributed.rank}").write_text(json.dumps(losses))
    distributed.disconnect()


def test_ten_steps_of_two_processes_are_those_of_one(smooth: RunConfig, tmp_path: Path) -> None:
    config = with_training(smooth, batch_size=64)
    assert ended(start(2, write_ten_steps, config, tmp_path)) == [0, 0]
    first, second = (json.loads((tmp_path / f"losses.{rank}").read_text()) for rank in range(2))
    assert first == second
    for losses, (dtype, tolerance) in zip(first, DTYPES.items(), strict=True):
        assert losses == pytest.approx(ten_steps(config, Distributed(), dtype), rel=tolerance)


def test_two_processes_make_one_attempt_and_stop_together(smooth: RunConfig, freeze: Freeze) -> None:
    alone, together = freeze(smooth, "alone"), freeze(smooth, "together")
    finish(alone)
    processes = start(2, execute, together)
    deadline = time.monotonic() + 120
    while not together.metrics():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    processes[1].terminate()  # one is told, both stop
    assert ended(processes) == [75, 75]
    assert together.state().state is RunState.preempted
    assert ended(start(2, execute, together)) == [0, 0]
    assert len(together.attempts()) == 2
    for row, expected in zip(together.metrics(), alone.metrics(), strict=True):
        for name in ("train_loss", "train_cross_entropy", "train_slow_loss", "train_penalty", "validation_loss"):
            assert row[name] == pytest.approx(expected[name], rel=1e-5)
        assert row["train_accuracy"] == pytest.approx(expected["train_accuracy"], abs=1e-3)
