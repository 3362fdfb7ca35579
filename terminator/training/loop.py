"""The training loop (§8): a run from its frozen configuration to its result, with exact resume."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor, nn

from terminator.config import Protocol, RunConfig, Source, from_plain
from terminator.data.load import fingerprint, load
from terminator.data.splits import Data, Split
from terminator.errors import Diverged, UserError
from terminator.ledger import Attempt, Run, RunState, Spec
from terminator.model.build import build, forward_flops
from terminator.progress import Progress
from terminator.stop import Stopped, StopRequest
from terminator.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from terminator.training.device import peak_memory_bytes, prepare_device
from terminator.training.distributed import Distributed
from terminator.training.evaluation import Score, evaluate
from terminator.training.randomness import epoch_order, generator_for
from terminator.training.step import MEASURES, TrainingStep

STEPS_BETWEEN_CHECKS = 16  # reading a loss makes a GPU wait, so divergence is looked for now and then


def train(run: Run, attempt: Attempt | None, stop: StopRequest, watcher: TextIO | None) -> dict[str, Any]:
    """Train and test `run`, as `attempt` in rank 0 and as None in other ranks. Returns the result's metrics.

    Raises what `Trainer.run` does, and UserError, also where the data is not what the run was planned with.
    """
    spec = run.spec()
    config = from_plain(spec.config)
    _check_data(spec, config)
    distributed = Distributed.from_environment()
    device = prepare_device(config.machine, compiled=config.training.compile, cuda_graphs=config.training.cuda_graphs)
    distributed.connect(device)
    hold_out, split_seed = config.training.protocol is Protocol.holdout, config.seed_for(Source.split)
    data = load(config.data, hold_out=hold_out, split_seed=split_seed).to(device)
    shape, classes = config.data.input_shape, config.data.classes
    generator = generator_for(config.seed_for(Source.init), "weights")
    network = build(config.model, image_shape=shape, classes=classes, generator=generator).to(device)
    try:
        with Progress(watcher) as progress:
            progress.say(_summary(config, data, network, device))
            return Trainer(
                config=config,
                network=network,
                data=data,
                attempt=attempt,
                stop=stop,
                progress=progress,
                distributed=distributed,
            ).run()
    finally:
        distributed.disconnect()


def _check_data(spec: Spec, config: RunConfig) -> None:
    if spec.data_fingerprint is None or spec.data_fingerprint == fingerprint(config.data):
        return
    key, value = ("name", config.data.name) if config.data.folder is None else ("folder", config.data.folder)
    raise UserError(f"data.{key}={value}: holds other images than when the run was planned: run its command again")


def _summary(config: RunConfig, data: Data, network: nn.Module, device: torch.device) -> str:
    sizes = "/".join(f"{len(split):,}" for split in (data.train, data.validation, data.test))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    shape, what = "×".join(map(str, config.data.input_shape)), "sequences" if config.data.is_sequence else "images"
    kind = f"{what} of {shape} in {config.data.classes} classes"
    images = f"{config.data.name}: {sizes} {kind} to train, validate, test"
    return f"{config.model.architecture} of {parameters:,} parameters on {device}; {images}"


@dataclass(eq=False, kw_only=True)
class Trainer:
    """Trains `network` on `data` as `config` says, and keeps `attempt` informed: None in all processes but the first.

    Every random draw is a pure function of seed, epoch and step, so that a run which was stopped at any step and
    resumed comes to the very same numbers. Raises UserError where a batch holds more images than there are, or does
    not divide by the number of processes and of micro-batches.
    """

    config: RunConfig
    network: nn.Module
    data: Data
    attempt: Attempt | None
    stop: StopRequest
    progress: Progress
    distributed: Distributed

    def __post_init__(self) -> None:
        size, count, processes = self.config.training.batch_size, len(self.data.train), self.distributed.world_size
        accumulated = self.config.training.gradient_accumulation_steps
        self.steps_per_epoch = count // size  # the last partial batch is dropped (§8)
        if self.steps_per_epoch == 0:
            raise UserError(f"training.batch_size={size}: must be at most the {count} training images")
        if size % (processes * accumulated):
            micro_batches = f" × training.gradient_accumulation_steps={accumulated}" if accumulated > 1 else ""
            raise UserError(f"training.batch_size={size}: must divide by the {processes} processes{micro_batches}")
        self.step = TrainingStep(self.config, self.network, self.data, self.steps_per_epoch, self.distributed)
        self.state = State.at_start(self.steps_per_epoch, len(MEASURES), self.data.device)
        self.saved = time.monotonic()

    def run(self) -> dict[str, Any]:
        """Train to the end, from the newest intact checkpoint on. Returns the result's metrics.

        Raises Stopped, with a checkpoint written, when asked to stop; Diverged; and Superseded when a newer attempt
        has taken over.
        """
        self._check_stop()
        self._resume()
        training = self.config.training
        self.progress.begin(epochs=training.epochs, steps_per_epoch=self.steps_per_epoch, done=self._steps_done())
        while self.state.epoch < training.epochs:
            self._train_epoch()
            self._close_epoch()
        return self._result()

    def _resume(self) -> None:
        path = self.distributed.broadcast(self._newest_intact_checkpoint())
        if path is None:
            return
        checkpoint = load_checkpoint(path)
        self.network.load_state_dict(checkpoint["network"])
        self.step.optimizer.load_state_dict(checkpoint["optimizer"])
        self.state = State.from_plain(checkpoint["state"], self.data.device)
        if self.attempt is not None:
            self.attempt.adopt(path, self.state.epoch, self.state.step)

    def _newest_intact_checkpoint(self) -> Path | None:
        if self.attempt is None:
            return None
        for path in self.attempt.resume_candidates():
            try:
                load_checkpoint(path)
                return path
            except DamagedCheckpoint as damage:
                self.attempt.set_aside(path, str(damage))
        return None

    def _train_epoch(self) -> None:
        """The steps that are left of the epoch."""
        state, batch_size = self.state, self.config.training.batch_size
        images = self.data.train
        order = epoch_order(len(images), seed=self.config.seed_for(Source.order), epoch=state.epoch)
        batches = torch.split(order.to(images.labels.device), batch_size)[state.step : self.steps_per_epoch]
        micro_batches = self.step.micro_batches(batches)
        self.network.train()
        self._start_clock()
        settled = state.step
        while state.step < self.steps_per_epoch:
            state.measures[state.step] = self.step(micro_batches, self._steps_done())
            state.step += 1
            stopped = self._asked_to_stop()
            if stopped or state.step % STEPS_BETWEEN_CHECKS == 0 or state.step == self.steps_per_epoch:
                settled = self._settle(settled)
                if stopped or self._checkpoint_is_due():
                    self._count_time()
                    self._save()
            self._report_step()
            if stopped:
                raise Stopped(stopped)
        self._count_time()

    def _asked_to_stop(self) -> RunState | None:
        """The state to stop in, if any of the processes was asked to: then they all do, after the same step."""
        states = (None, RunState.preempted, RunState.interrupted)
        return states[self.distributed.maximum(states.index(self.stop.asked()), self.data.device)]

    def _settle(self, since: int) -> int:
        """Average the measures since step `since` over the processes, check for divergence. Returns steps settled."""
        rows = self.state.measures[since : self.state.step]
        rows.copy_(self.distributed.sum(rows) / self.distributed.world_size)
        losses = rows[:, MEASURES.index("loss")]
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            number = self.state.epoch * self.steps_per_epoch + since + int(wrong[0]) + 1
            raise Diverged(f"the loss is {losses[wrong[0]].item()} at step {number} (epoch {self.state.epoch + 1})")
        return self.state.step

    def _close_epoch(self) -> None:
        """Validate, choose, log, checkpoint."""
        state = self.state
        try:
            score = self._evaluate(self.data.validation)
        except Stopped:
            self._save()
            raise
        state.offer(score, self.network.state_dict())
        row = self._epoch_row(score)
        if self.attempt is not None:
            self.attempt.log_epoch(row)
        self.progress.epoch(row)
        state.epoch, state.step, state.epoch_seconds = state.epoch + 1, 0, 0.0
        self._save()

    def _evaluate(self, split: Split) -> Score:
        score = evaluate(
            self.network,
            split,
            self.data,
            self.config.training,
            predict=self.step.predict,
            between_batches=self._check_stop,
        )
        if not math.isfinite(score.loss):
            raise Diverged(f"the validation loss is {score.loss} after epoch {self.state.epoch + 1}")
        return score

    def _epoch_row(self, score: Score) -> dict[str, Any]:
        state = self.state
        means = dict(zip(MEASURES, state.measures.mean(0).tolist(), strict=True))
        return {
            "epoch": state.epoch + 1,
            "step": (state.epoch + 1) * self.steps_per_epoch,
            "time": time.time(),
            "lr": self.step.optimizer.param_groups[0]["lr"],
            **{f"train_{name}": mean for name, mean in means.items()},
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
            "epoch_seconds": state.epoch_seconds,
        }

    def _result(self) -> dict[str, Any]:
        """Evaluate the best epoch's weights on the test split, which is read here and nowhere else under `holdout`."""
        state, config = self.state, self.config
        assert state.best is not None
        self.network.load_state_dict(state.best.weights)
        test = self._evaluate(self.data.test)
        if self.attempt is not None and test.correct is not None:
            self.attempt.keep_correct(np.packbits(test.correct.cpu().numpy()).tobytes())
        return {
            "test_accuracy": test.accuracy,
            "test_loss": test.loss,
            "test_images": len(self.data.test),
            "validation_accuracy": state.best.score.accuracy,
            "validation_loss": state.best.score.loss,
            "best_epoch": state.best.epoch,
            "epochs": state.epoch,
            "optimistic": config.training.protocol is Protocol.release,
            "parameters": sum(weight.numel() for weight in self.network.parameters() if weight.requires_grad),
            "flops": forward_flops(self.network, tuple(self.data.test.stored.shape[1:])),
            "train_seconds": state.train_seconds,
            "images_per_second": state.images / state.train_seconds,
            "peak_memory_bytes": state.peak_memory_bytes,
        }

    def _steps_done(self) -> int:
        return self.state.epoch * self.steps_per_epoch + self.state.step

    def _report_step(self) -> None:
        state = self.state
        if self.attempt is not None:
            epochs = self.config.training.epochs
            steps = {"step": state.step, "steps_per_epoch": self.steps_per_epoch}
            self.attempt.progress(epoch=state.epoch + 1, epochs=epochs, **steps)
        self.progress.step(self._steps_done())

    def _start_clock(self) -> None:
        self.clock = time.perf_counter(), self.state.step

    def _count_time(self) -> None:
        """Since the clock was started, or read last. Called after `_settle`, which waits for the GPU."""
        state, (started, first) = self.state, self.clock
        self._start_clock()
        seconds = self.clock[0] - started
        state.epoch_seconds += seconds
        state.train_seconds += seconds
        state.images += (state.step - first) * self.config.training.batch_size
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes(self.data.device))

    def _check_stop(self) -> None:
        if state := self._asked_to_stop():
            raise Stopped(state)

    def _checkpoint_is_due(self) -> bool:
        """Within an epoch: at its end there is one anyway."""
        minutes = (time.monotonic() - self.saved) / 60
        return self.state.step < self.steps_per_epoch and minutes >= self.config.machine.checkpoint_min

    def _save(self) -> None:
        self.saved = time.monotonic()
        if self.attempt is None:
            return
        content = {"network": self.network.state_dict(), "optimizer": self.step.optimizer.state_dict()}
        self.attempt.check()
        save_checkpoint(self.attempt.checkpoint_path, {**content, "state": self.state.to_plain()})


@dataclass
class Best:
    """The best epoch so far, counted from 1, and its weights."""

    epoch: int
    score: Score
    weights: dict[str, Tensor]


@dataclass
class State:
    """What changes while a run goes on, beside its network and optimizer.

    `epoch`: whole epochs done; `step`: steps done of the next; `measures`: what each of those steps measured,
    (steps_per_epoch, measures) float64. An epoch's means are taken when it is over, all at once, so an epoch that
    was stopped halfway comes to the same bits as one that was not. `images` were trained on in `train_seconds`.
    """

    measures: Tensor
    epoch: int = 0
    step: int = 0
    best: Best | None = None
    epoch_seconds: float = 0.0
    train_seconds: float = 0.0
    images: int = 0
    peak_memory_bytes: int = 0

    @classmethod
    def at_start(cls, steps_per_epoch: int, measures: int, device: torch.device) -> State:
        """Nothing done yet."""
        return cls(torch.zeros(steps_per_epoch, measures, dtype=torch.float64, device=device))

    @classmethod
    def from_plain(cls, plain: dict[str, Any], device: torch.device) -> State:
        """The inverse of `to_plain`."""
        best = plain["best"] and Best(plain["best"]["epoch"], Score(*plain["best"]["score"]), plain["best"]["weights"])
        return cls(**{**plain, "best": best, "measures": plain["measures"].to(device)})

    def to_plain(self) -> dict[str, Any]:
        """Tensors, numbers, lists and dicts alone."""
        best = self.best and {
            "epoch": self.best.epoch,
            "score": [self.best.score.loss, self.best.score.accuracy],
            "weights": self.best.weights,
        }
        return {**vars(self), "best": best}

    def offer(self, score: Score, weights: dict[str, Tensor]) -> None:
        """Keep the epoch just done if it is the best: by accuracy, then by loss; a tie leaves the earlier one."""
        if self.best is None or (score.accuracy, -score.loss) > (self.best.score.accuracy, -self.best.score.loss):
            copies = {name: weight.detach().clone() for name, weight in weights.items()}
            self.best = Best(self.epoch + 1, score, copies)
