"""`python -m tests.training.ten_steps CONFIG`: losses of a run's first ten steps, in float32 and float64, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import torch

from terminator.config import RunConfig, from_plain
from terminator.data.load import load
from terminator.model.build import build
from terminator.training.device import prepare_device
from terminator.training.distributed import Distributed
from terminator.training.randomness import epoch_order, generator_for
from terminator.training.step import TrainingStep


def ten_steps(config: RunConfig, distributed: Distributed, dtype: torch.dtype) -> list[float]:
    """Train as the loop does, but for its book-keeping. Returns the loss of each step over the batch."""
    data = load(config.data)
    data = replace(data, mean=data.mean.to(dtype), std=data.std.to(dtype))
    shape, generator = config.data.input_shape, generator_for(config.seed, "weights")
    network = build(config.model, image_shape=shape, classes=10, generator=generator).train()
    if dtype is torch.float64:
        network.double()
    step = TrainingStep(config, network, data, steps_per_epoch=10, distributed=distributed)
    order = epoch_order(len(data.train), seed=config.seed, epoch=0).split(config.training.batch_size)
    sums = [distributed.sum(step(data.train.take(order[number]), number)) for number in range(10)]
    return [measures[0].item() / distributed.world_size for measures in sums]


if __name__ == "__main__":
    config = from_plain(json.loads(sys.argv[1]))
    distributed = Distributed.from_environment()
    distributed.connect(prepare_device(config.machine))
    print(json.dumps([ten_steps(config, distributed, dtype) for dtype in (torch.float32, torch.float64)]))
    distributed.disconnect()
