"""Two processes train as one does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from terminator.config import RunConfig
from terminator.data.config import DataConfig
from terminator.data.loading import Split
from terminator.ledger import Run, RunState
from terminator.training.config import OptimizerConfig, OptimizerName
from terminator.training.processes import Processes
from tests.training.conftest import Freeze, finish, with_training


def test_every_image_goes_to_exactly_one_process() -> None:
    batch = Split(torch.arange(12, dtype=torch.uint8).reshape(6, 2, 1), torch.arange(6))
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert [share.labels.tolist() for share in shares] == [[0, 3], [1, 4], [2, 5]]
    assert torch.equal(shares[1].images, batch.images[[1, 4]])
    assert Processes().share(batch) is batch


def start(run: Run, count: int, log: Path) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    group = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "terminator.job", str(run.folder)]
    processes = []
    for rank in range(count):
        with open(log.with_suffix(f".{rank}"), "wb") as stream:
            environment = {**os.environ, **group, "RANK": str(rank)}
            processes.append(subprocess.Popen(command, stdout=stream, stderr=stream, env=environment))
    return processes


def test_two_processes_give_the_losses_of_one_and_stop_together(
    small: RunConfig, freeze: Freeze, tmp_path: Path
) -> None:
    config = replace(
        with_training(small, epochs=3),
        model=replace(small.model, dropout=[0.0]),  # type: ignore[type-var]
        data=DataConfig(crop_padding=1, horizontal_flip=True),
        optimizer=OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=0.1),  # signs would magnify rounding
    )
    alone, together = freeze(config, "alone"), freeze(config, "together")
    finish(alone)
    processes = start(together, 2, tmp_path / "first")
    deadline = time.monotonic() + 60
    while not together.metrics():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGTERM)  # one is told, both stop
    assert [process.wait(60) for process in processes] == [75, 75]
    assert together.state().state is RunState.preempted
    assert [process.wait(120) for process in start(together, 2, tmp_path / "second")] == [0, 0]
    assert len(together.attempts()) == 2
    for row, expected in zip(together.metrics(), alone.metrics(), strict=True):
        for name in ("train_loss", "train_cross_entropy", "train_slow_loss", "train_penalty", "validation_loss"):
            assert row[name] == pytest.approx(expected[name], rel=1e-5)
        assert row["train_accuracy"] == pytest.approx(expected["train_accuracy"], abs=1e-3)
