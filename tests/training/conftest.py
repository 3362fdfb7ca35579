"""A small run on digits, and what to compare of two of them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from terminator.config import Device, MachineConfig, OptimizerConfig, RunConfig, TrainingConfig, to_plain
from terminator.ledger import Attempt, Code, Ledger, Provenance, Run, RunState, digest
from terminator.model.config import TerminatorConfig
from terminator.stop import StopRequest
from terminator.sweeps.pool import PRELOADED
from terminator.training.loop import train

TIMINGS = {"train_seconds", "images_per_second", "peak_memory_bytes", "time", "epoch_seconds"}
STEPS_PER_EPOCH = 1257 // 300

Freeze = Callable[..., Run]


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """A run sets threads and determinism for its whole process; other tests get theirs back."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def small() -> RunConfig:
    """One block with dropout, two epochs of four steps."""
    model = TerminatorConfig(
        depth=1,
        channels=[12],
        local_kernels=[3],
        global_hidden=8,
        local_hidden=8,
        channel_hidden=8,
        interaction_channel_hidden=8,
        interaction_spatial_hidden=8,
        dropout=[0.2],
    )
    training = TrainingConfig(epochs=2, warmup_epochs=0.5, batch_size=300, evaluation_batch_size=100)
    machine = MachineConfig(device=Device.cpu, threads=1)
    return RunConfig(model=model, training=training, optimizer=OptimizerConfig(lr=0.01), machine=machine)


@pytest.fixture
def freeze(tmp_path: Path) -> Freeze:
    """Freezes a configuration as a run of a ledger of its own: freeze(config, "name")."""

    def frozen(config: RunConfig, name: str = "ledger") -> Run:
        origin = Provenance(Code("0" * 16, None, False), "", {})
        return Ledger(tmp_path / name).freeze(digest(to_plain(config)), to_plain(config), origin)

    return frozen


class StopAtCheck(StopRequest):
    """Asks to stop at the loop's `number`-th look: one after every step and every evaluation batch."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def asked(self) -> RunState | None:
        self.left -= 1
        return RunState.preempted if self.left == 0 else None


def finish(run: Run) -> dict[str, Any]:
    """Train to the end in a new attempt. Returns the result's metrics."""
    attempt = run.begin()
    attempt.finish(train(run, attempt, StopRequest(), None))
    return run.result().metrics


def numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    """Without what depends on the machine's mood."""
    return {name: value for name, value in metrics.items() if name not in TIMINGS}


def final_weights(run: Run) -> dict[str, torch.Tensor]:
    """The network's, from the finishing attempt's checkpoint."""
    return torch.load(Attempt(run, run.result().attempt).checkpoint_path, weights_only=True)["network"]


def with_training(config: RunConfig, **changes: Any) -> RunConfig:
    """`config` with other training fields."""
    return replace(config, training=replace(config.training, **changes))


def start(count: int, target: Callable[..., int | None], *arguments: object) -> list[ForkServerProcess]:
    """`target` in `count` processes that find each other, forked where PyTorch is imported already."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    group = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ranks = [{**group, "RANK": str(rank)} for rank in range(count)]
    processes = [context.Process(target=in_group, args=(rank, target, *arguments)) for rank in ranks]
    for process in processes:
        process.start()
    return processes


def in_group(environment: dict[str, str], target: Callable[..., int | None], *arguments: object) -> None:
    os.environ.update(environment)
    sys.exit(target(*arguments))


def ended(processes: list[ForkServerProcess]) -> list[int | None]:
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]
