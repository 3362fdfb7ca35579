"""The training loop (spec §8): steps, epochs, the choice of the best epoch, and exact resume."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from terminator.config import RunConfig
from terminator.data.loading import Data, Split
from terminator.errors import UserError
from terminator.ledger import Attempt
from terminator.model.flops import forward_flops
from terminator.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint
from terminator.training.config import Protocol
from terminator.training.device import peak_memory_bytes
from terminator.training.evaluation import Score, evaluate
from terminator.training.failure import Diverged
from terminator.training.progress import Progress
from terminator.training.randomness import epoch_order
from terminator.training.state import State
from terminator.training.step import MEASURES, TrainingStep
from terminator.training.stop import Stopped, StopRequest

STEPS_BETWEEN_CHECKS = 16  # reading a loss makes a GPU wait, so divergence is looked for now and then


class Trainer:
    """Trains `network` on `data` as `config` says, and keeps `attempt` informed.

    Every random draw is a pure function of seed, epoch and step, so that a run which was stopped at any step and
    resumed comes to the very same numbers. Raises UserError where there are fewer training images than a batch holds.
    """

    def __init__(
        self,
        config: RunConfig,
        network: nn.Module,
        data: Data,
        *,
        attempt: Attempt,
        stop: StopRequest,
        progress: Progress,
    ) -> None:
        training = config.training
        self.config = config
        self.network = network
        self.data = data
        self.attempt = attempt
        self.stop = stop
        self.progress = progress
        self.device = data.train.labels.device
        self.steps_per_epoch = len(data.train) // training.batch_size  # the last partial batch is dropped (spec §8)
        if self.steps_per_epoch == 0:
            count = len(data.train)
            raise UserError(f"training.batch_size={training.batch_size}: must be at most the {count} training images")
        self.step = TrainingStep(config, network, data, self.steps_per_epoch)
        self.state = State.at_start(self.steps_per_epoch, len(MEASURES), self.device)

    def run(self) -> dict[str, Any]:
        """Train to the end, from the newest intact checkpoint on; → the result's metrics.

        Raises Stopped, with a checkpoint written, when asked to stop; Diverged; and Superseded when a newer attempt
        has taken over.
        """
        self._resume()
        training = self.config.training
        self.progress.begin(epochs=training.epochs, steps_per_epoch=self.steps_per_epoch, done=self._steps_done())
        while self.state.epoch < training.epochs:
            self._train_epoch()
            self._close_epoch()
        return self._result()

    def _resume(self) -> None:
        for path in self.attempt.resume_candidates():
            try:
                checkpoint = load_checkpoint(path)
            except DamagedCheckpoint as damage:
                self.attempt.set_aside(path, str(damage))
                continue
            self.network.load_state_dict(checkpoint["network"])
            self.step.optimizer.load_state_dict(checkpoint["optimizer"])
            self.state = State.from_plain(checkpoint["state"], self.device)
            self.attempt.adopt(path, self.state.epoch, self.state.step)
            return

    def _train_epoch(self) -> None:
        """The steps that are left of the epoch."""
        state, batch_size = self.state, self.config.training.batch_size
        order = epoch_order(len(self.data.train), seed=self.config.seed, epoch=state.epoch).to(self.device)
        self.network.train()
        started, first = time.perf_counter(), state.step
        try:
            while state.step < self.steps_per_epoch:
                indices = order[state.step * batch_size : (state.step + 1) * batch_size]
                state.measures[state.step] = self.step(self.data.train.take(indices), self._steps_done())
                state.step += 1
                if state.step % STEPS_BETWEEN_CHECKS == 0 or state.step == self.steps_per_epoch:
                    self._check_finite()
                self._report_step()
                self.stop.check()
        except Stopped:
            self._check_finite()
            self._count_time(started, first)
            self._save()
            raise
        self._count_time(started, first)

    def _check_finite(self) -> None:
        losses = self.state.measures[: self.state.step, MEASURES.index("loss")]
        wrong = (~losses.isfinite()).nonzero()
        if len(wrong):
            step = int(wrong[0])
            number = self.state.epoch * self.steps_per_epoch + step + 1
            raise Diverged(f"the loss is {losses[step].item()} at step {number} (epoch {self.state.epoch + 1})")

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
        self.attempt.log_epoch(row)
        self.progress.epoch(row)
        state.epoch, state.step, state.epoch_seconds = state.epoch + 1, 0, 0.0
        self._save()

    def _evaluate(self, split: Split) -> Score:
        self.network.eval()
        training = self.config.training
        score = evaluate(
            self.step.predict,
            split,
            self.data,
            largest_batch=training.evaluation_batch_size,
            precision=training.precision,
            between_batches=self.stop.check,
        )
        if not torch.tensor(score.loss).isfinite():
            raise Diverged(f"the validation loss is {score.loss} after epoch {self.state.epoch + 1}")
        return score

    def _epoch_row(self, score: Score) -> dict[str, Any]:
        state, batch = self.state, self.config.training.batch_size
        means = (state.measures.sum(0) / self.steps_per_epoch).tolist()
        loss, cross_entropy, weighted_slow_loss, penalty, correct = means
        return {
            "epoch": state.epoch + 1,
            "step": (state.epoch + 1) * self.steps_per_epoch,
            "time": time.time(),
            "lr": self.step.optimizer.param_groups[0]["lr"],
            "train_loss": loss,
            "train_cross_entropy": cross_entropy,
            "train_slow_loss": weighted_slow_loss,
            "train_penalty": penalty,
            "train_accuracy": correct / batch,
            "validation_loss": score.loss,
            "validation_accuracy": score.accuracy,
            "epoch_seconds": state.epoch_seconds,
        }

    def _result(self) -> dict[str, Any]:
        """Judge the best epoch's weights on the test split, which is read here and nowhere else under `holdout`."""
        state, config = self.state, self.config
        assert state.best is not None
        self.network.load_state_dict(state.best.weights)
        test = self._evaluate(self.data.test)
        return {
            "test_accuracy": test.accuracy,
            "test_loss": test.loss,
            "validation_accuracy": state.best.score.accuracy,
            "validation_loss": state.best.score.loss,
            "best_epoch": state.best.epoch,
            "epochs": state.epoch,
            "optimistic": config.training.protocol is Protocol.release,
            "parameters": sum(weight.numel() for weight in self.network.parameters() if weight.requires_grad),
            "flops": forward_flops(self.network, tuple(self.data.test.images.shape[1:])),
            "train_seconds": state.train_seconds,
            "images_per_second": state.images / state.train_seconds,
            "peak_memory_bytes": state.peak_memory_bytes,
        }

    def _steps_done(self) -> int:
        return self.state.epoch * self.steps_per_epoch + self.state.step

    def _report_step(self) -> None:
        state = self.state
        self.attempt.progress(
            epoch=state.epoch + 1,
            epochs=self.config.training.epochs,
            step=state.step,
            steps_per_epoch=self.steps_per_epoch,
        )
        self.progress.step(self._steps_done())

    def _count_time(self, started: float, first: int) -> None:
        """Called after `_check_finite`, which waits for the GPU."""
        state, seconds = self.state, time.perf_counter() - started
        state.epoch_seconds += seconds
        state.train_seconds += seconds
        state.images += (state.step - first) * self.config.training.batch_size
        state.peak_memory_bytes = max(state.peak_memory_bytes, peak_memory_bytes(self.device))

    def _save(self) -> None:
        content = {"network": self.network.state_dict(), "optimizer": self.step.optimizer.state_dict()}
        self.attempt.check()
        save_checkpoint(self.attempt.checkpoint_path, {**content, "state": self.state.to_plain()})
