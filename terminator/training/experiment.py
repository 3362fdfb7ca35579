"""A run from its frozen configuration to its result: device, data, network, training."""

from __future__ import annotations

from typing import Any, TextIO

from terminator.config import from_plain
from terminator.data.loading import load
from terminator.ledger import Attempt
from terminator.model import build
from terminator.training.config import Protocol
from terminator.training.device import prepare_device
from terminator.training.loop import Trainer
from terminator.training.progress import Progress
from terminator.training.randomness import generator_for
from terminator.training.stop import StopRequest


def run_experiment(attempt: Attempt, stop: StopRequest, watcher: TextIO | None) -> dict[str, Any]:
    """Do what `attempt` is for; → the result's metrics. Raises what `Trainer.run` does, and UserError."""
    config = from_plain(attempt.run.spec().config)
    device = prepare_device(config.machine)
    data = load(config.data, hold_out=config.training.protocol is Protocol.holdout).to(device)
    stop.check()
    facts = config.data.facts
    generator = generator_for(config.seed, "weights")
    network = build(config.model, image_shape=facts.image_shape, classes=facts.classes, generator=generator)
    with Progress(watcher) as progress:
        return Trainer(config, network.to(device), data, attempt=attempt, stop=stop, progress=progress).run()
