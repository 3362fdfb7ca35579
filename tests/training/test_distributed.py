"""Two processes train as one does."""

from __future__ import annotations

import json
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

from terminator.config import OptimizerConfig, OptimizerName, RunConfig, to_plain
from terminator.data.config import DataConfig
from terminator.data.load import Split
from terminator.ledger import RunState
from terminator.training.distributed import Distributed
from tests.training.conftest import Freeze, finish, with_training
from tests.training.ten_steps import ten_steps


def test_every_image_goes_to_exactly_one_process() -> None:
    batch = Split(torch.arange(12, dtype=torch.uint8).reshape(6, 2, 1), torch.arange(6))
    shards = [Distributed(rank, 3).shard(batch) for rank in range(3)]
    assert [shard.labels.tolist() for shard in shards] == [[0, 3], [1, 4], [2, 5]]
    assert torch.equal(shards[1].images, batch.images[[1, 4]])
    assert Distributed().shard(batch) is batch


def start(count: int, log: Path, *command: str) -> list[subprocess.Popen[bytes]]:
    """`python -m COMMAND` in `count` processes that find each other; each one's output goes to `log`.RANK."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    group = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    processes = []
    for rank in range(count):
        with open(log.with_suffix(f".{rank}"), "wb") as stream:
            environment = {**os.environ, **group, "RANK": str(rank)}
            processes.append(
                subprocess.Popen([sys.executable, "-m", *command], stdout=stream, stderr=stream, env=environment)
            )
    return processes


@pytest.fixture
def smooth(small: RunConfig) -> RunConfig:
    """Without what differs by nature: dropout draws of its own in each process, and signs, which magnify rounding."""
    return replace(
        with_training(small, epochs=3),
        model=replace(small.model, dropout=[0.0]),  # type: ignore[type-var]
        data=DataConfig(crop_padding=1, horizontal_flip=True),
        optimizer=OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=0.1),
    )


def test_ten_steps_of_two_processes_are_those_of_one(smooth: RunConfig, tmp_path: Path) -> None:
    config = with_training(smooth, batch_size=64)
    processes = start(2, tmp_path / "log", "tests.training.ten_steps", json.dumps(to_plain(config)))
    assert [process.wait(120) for process in processes] == [0, 0]
    first, second = (json.loads((tmp_path / f"log.{rank}").read_text()) for rank in range(2))
    assert first == second
    for losses, dtype, tolerance in zip(first, (torch.float32, torch.float64), (1e-6, 1e-10), strict=True):
        assert losses == pytest.approx(ten_steps(config, Distributed(), dtype), rel=tolerance)


def test_two_processes_make_one_attempt_and_stop_together(smooth: RunConfig, freeze: Freeze, tmp_path: Path) -> None:
    alone, together = freeze(smooth, "alone"), freeze(smooth, "together")
    finish(alone)
    processes = start(2, tmp_path / "first", "terminator.job", str(together.folder))
    deadline = time.monotonic() + 120
    while not together.metrics():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGTERM)  # one is told, both stop
    assert [process.wait(120) for process in processes] == [75, 75]
    assert together.state().state is RunState.preempted
    processes = start(2, tmp_path / "second", "terminator.job", str(together.folder))
    assert [process.wait(120) for process in processes] == [0, 0]
    assert len(together.attempts()) == 2
    for row, expected in zip(together.metrics(), alone.metrics(), strict=True):
        for name in ("train_loss", "train_cross_entropy", "train_slow_loss", "train_penalty", "validation_loss"):
            assert row[name] == pytest.approx(expected[name], rel=1e-5)
        assert row["train_accuracy"] == pytest.approx(expected["train_accuracy"], abs=1e-3)
