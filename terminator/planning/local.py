"""A sweep on this machine: the runs that lack a result, side by side, with MLflow kept up to date meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console

from terminator.config import Device
from terminator.counting import counted
from terminator.ledger import Ledger, RunState, Sweep
from terminator.planning.pool import Pool
from terminator.planning.progress import SweepProgress
from terminator.settings import TrackingConfig
from terminator.sweeps.driver import driving
from terminator.tracking.live import LiveSync


def default_workers(device: Device) -> int:
    """As many as there are GPUs where runs use them, else as many as there are CPU cores for this process."""
    if device is not Device.cpu:
        import torch

        if gpus := torch.cuda.device_count():
            return gpus
    return cores()


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_here(console: Console, ledger: Ledger, sweeps: Sequence[Sweep], workers: int, tracking: TrackingConfig) -> bool:
    """Run what has no result yet, each run once. Returns whether it was interrupted."""
    names: dict[str, str] = {}
    for sweep in sweeps:
        for cell in sweep.cells():
            names.setdefault(cell.key, f"{cell.variant.name}/{cell.seed}")
    runs = [ledger.run(key) for key in names]
    todo = [run for run in runs if run.state().state is not RunState.done]
    skipped = len(runs) - len(todo)
    workers = min(workers, len(todo)) or 1
    on = f" on {counted(workers, 'worker')}" if todo else ""
    console.print(f"{counted(len(runs), 'run')}: {skipped} done already, {len(todo)} to run{on} → {ledger.root}")
    follower = LiveSync(ledger, sweeps, tracking.uri) if tracking.enabled else None
    interrupted = False
    if todo:
        with driving(ledger, sweeps), SweepProgress(console, len(runs), skipped, workers, names) as progress:
            pool = Pool(todo, workers, progress.update)
            pool.run()
        interrupted = pool.interrupted
    if follower:
        console.print(follower.close())
    return interrupted
