"""Runs on random images for the checks of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from terminator.config import (
    Device,
    MachineConfig,
    OptimizerConfig,
    OptimizerName,
    RunConfig,
    TrainingConfig,
    to_plain,
)
from terminator.data.config import DataConfig, FolderConfig
from terminator.data.splits import Data, Split
from terminator.ledger import Code, Ledger, Provenance, Run, digest
from terminator.model.build import build
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.training.distributed import Distributed
from terminator.training.randomness import generator_for
from terminator.training.step import TrainingStep
from tests.gpu.conftest import DEVICE

SMALL = TerminatorConfig(
    depth=2,
    channels=[12, 24],
    local_kernels=[3, 5],
    previous_blocks=[[], [0]],
    global_layers=[2],
    global_hidden=16,
    local_hidden=8,
    channel_hidden=8,
    interaction_channel_hidden=8,
    interaction_spatial_hidden=8,
    dropout=[0.0],
)
MACHINE = MachineConfig(Device(DEVICE), threads=1)


def images_folder(folder: Path, count: int, shape: tuple[int, ...], classes: int) -> FolderConfig:
    """Random bytes in a file as users bring it, and its configuration; a tenth of them tests."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    np.savez(folder / "random.npz", image=random.integers(0, 256, (count, *shape), dtype=np.uint8), label=labels)
    return FolderConfig(folder=str(folder), image_shape=list(shape), classes=classes, test_images=count // 10)


def small_run(folder: Path, **training: Any) -> RunConfig:
    """Two epochs of eight steps, without signs, which magnify rounding."""
    fields = {"epochs": 2, "warmup_epochs": 0.5, "batch_size": 32, "evaluation_batch_size": 64, **training}
    return RunConfig(
        model=replace(SMALL, dropout=[0.2]),
        data=images_folder(folder, 360, (3, 16, 16), 4),
        optimizer=OptimizerConfig(OptimizerName.sgd, lr=0.02, betas=[0.9]),
        training=TrainingConfig(**fields),
        machine=MACHINE,
    )


def freeze(config: RunConfig, root: Path) -> Run:
    """A run of the ledger at `root`."""
    origin = Provenance(Code("0" * 16, None, False), "", {})
    return Ledger(root).freeze(digest(to_plain(config)), to_plain(config), origin)


def steps(
    model: ModelConfig, shape: tuple[int, ...], device: str, dtype: torch.dtype, batch: int = 16, **training: Any
) -> Callable[[int], float]:
    """The training steps of a network on one batch of random images: a function from a step's number to its loss."""
    config = RunConfig(
        model=model,
        data=DataConfig(image_shape=list(shape))
        if len(shape) == 3
        else FolderConfig(image_shape=list(shape), classes=10),
        optimizer=OptimizerConfig(OptimizerName.sgd, lr=0.01, betas=[0.9]),
        training=TrainingConfig(epochs=1, warmup_epochs=0, batch_size=batch, **training),
        machine=MachineConfig(Device(device)),
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch, *shape), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(batch) % 10).to(torch.device(device))
    middle = torch.full((shape[0], *(1 for _ in shape[1:])), 128.0, dtype=dtype, device=device)
    network = build(model, image_shape=shape, classes=10, generator=generator_for(0, "weights"))
    network = network.to(device, dtype).train()
    step = TrainingStep(config, network, Data(split, split, split, middle, middle / 2), 1000, Distributed())
    return lambda number: float(step(iter([split]), number)[0])
