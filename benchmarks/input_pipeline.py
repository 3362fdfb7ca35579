"""How fast training images are read and augmented, beside training steps of `release`: images/s.

    python -m benchmarks.input_pipeline [--images 50000] [--size 32] [--batch 32] [--threads 1]

The images are made up, and read in random order: from memory, or from a file of 8-bit pixels that is mapped into it.
All augmentation is on. Measured in turns; compare their ratios, not runs.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from benchmarks.interleaved import Step, measure
from benchmarks.train_step import make_step
from terminator.config import RunConfig
from terminator.data.augment import Draws
from terminator.data.config import DataConfig
from terminator.data.splits import Data, Split
from terminator.training.distributed import Distributed
from terminator.training.step import TrainingStep

ALL = {"crop_padding": 4, "horizontal_flip": True, "cutout": 8, "mixup": 0.2}


def make_input(count: int, size: int, batch: int, path: str | None) -> Step:
    """Read and augment the next batch. `path`: of the mapped file; None for images in memory."""
    shape = (count, 3, size, size)
    if path is None:
        stored = torch.randint(256, shape, dtype=torch.uint8)
    else:
        stored = torch.from_numpy(np.memmap(path, np.uint8, "r+", shape=shape))
    split = Split(stored, torch.zeros(count, dtype=torch.int64), torch.arange(count))
    half = torch.full((3, 1, 1), 128.0)
    config = RunConfig(data=DataConfig(image_shape=[3, size, size], **ALL))  # type: ignore[arg-type]
    config = replace(config, training=replace(config.training, batch_size=batch))
    step = TrainingStep(config, torch.nn.Linear(1, 1), Data(split, split, split, half, half), 1, Distributed())
    batches = step.micro_batches(torch.randperm(count)[:batch] for _ in itertools.count())

    def next_input() -> None:
        draws = Draws.of(config.data, batch, torch.default_generator)
        step.inputs(next(batches).images, draws, 0.7)

    return next_input


def main() -> None:
    """Measure and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("images", 50_000), ("size", 32), ("batch", 32), ("threads", 1), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    with tempfile.NamedTemporaryFile() as file:
        pixels = given.images * 3 * given.size**2
        for start in range(0, pixels, 2**26):
            file.write(np.random.default_rng(start).bytes(min(2**26, pixels - start)))
        file.flush()
        inputs = (given.images, given.size, given.batch)
        makers: dict[str, Callable[..., Step]] = {"release": make_step, "memory": make_input, "mapped": make_input}
        arguments = {
            "release": ("release", "fast", given.batch, "cpu"),
            "memory": (*inputs, None),
            "mapped": (*inputs, file.name),
        }
        measured = measure(makers, arguments, rounds=given.rounds, threads=given.threads)
    first = measured["release"].seconds
    print(f"{given.images:,} images of 3 × {given.size} × {given.size}, batch {given.batch}, {given.threads} threads")
    for name, (seconds, memory) in measured.items():
        rate = given.batch / seconds
        print(f"{name:8s} {rate:12,.0f} images/s  {first / seconds:8.1f} × release  {memory / 2**20:7.0f} MiB")


if __name__ == "__main__":
    main()
