"""A run from its frozen configuration to its result: device, data, network, training."""

from __future__ import annotations

from typing import Any, TextIO

import torch
from torch import nn

from terminator.config import Protocol, RunConfig, from_plain
from terminator.data.load import Data, fingerprint, load
from terminator.errors import UserError
from terminator.ledger import Attempt, Run
from terminator.model.build import build
from terminator.progress import Progress
from terminator.stop import StopRequest
from terminator.training.device import prepare_device
from terminator.training.distributed import Processes
from terminator.training.loop import Trainer
from terminator.training.randomness import generator_for


def run_experiment(run: Run, attempt: Attempt | None, stop: StopRequest, watcher: TextIO | None) -> dict[str, Any]:
    """Train and judge `run` as its `attempt`, or beside the process that makes the attempt; → the result's metrics.

    Raises what `Trainer.run` does, and UserError.
    """
    spec = run.spec()
    config = from_plain(spec.config)
    if spec.data_fingerprint not in (None, fingerprint(config.data)):
        where = "data.name" if config.data.folder is None else "data.folder"
        value = config.data.folder or config.data.name
        raise UserError(f"{where}={value}: holds other images than when the run was planned: run its command again")
    processes = Processes.from_environment()
    device = prepare_device(config.machine)
    processes.connect(device)
    data = load(config.data, hold_out=config.training.protocol is Protocol.holdout).to(device)
    generator = generator_for(config.seed, "weights")
    network = build(config.model, image_shape=config.data.input_shape, classes=config.data.classes, generator=generator)
    try:
        with Progress(watcher) as progress:
            progress.say(_summary(config, data, network, device))
            trainer = Trainer(
                config, network.to(device), data, attempt=attempt, stop=stop, progress=progress, processes=processes
            )
            return trainer.run()
    finally:
        processes.disconnect()


def _summary(config: RunConfig, data: Data, network: nn.Module, device: torch.device) -> str:
    sizes = "/".join(f"{len(split):,}" for split in (data.train, data.validation, data.test))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    model = f"{config.model.architecture.value} of {parameters:,} parameters"
    return f"{model} on {device}; {config.data.name}: {sizes} images to train, validate, test"
