"""Sweeps that run on the machine where they were started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from terminator.config import Device, from_plain
from terminator.errors import UserError
from terminator.ledger import (
    AttemptRecord,
    Ledger,
    Reason,
    Run,
    RunState,
    Status,
    Sweep,
    alive_here,
    files,
)
from terminator.ledger.provenance import is_alive, this_process
from terminator.run_key import code_hash
from terminator.settings import TrackingConfig
from terminator.sweeps.pool import Pool, SweepProgress
from terminator.text import counted
from terminator.tracking.live import LiveSync


class Driver(NamedTuple):
    """A file in `drivers/`, beside sweep.json."""

    host: str
    pid: int
    process_started: str

    def alive(self) -> bool | None:
        """None if it is on another machine, where it can't be seen from here."""
        return is_alive(*self)


def drivers(ledger: Ledger, sweep: Sweep) -> list[Driver]:
    """The processes that carry the sweep out, but for those known to have ended."""
    paths = sorted(_folder(ledger, sweep).glob("*.json"))
    found = (files.read(path, lambda plain: Driver(**plain)) for path in paths)
    return [driver for driver in found if driver is not None and driver.alive() is not False]


@contextmanager
def driving(ledger: Ledger, sweeps: Sequence[Sweep]) -> Iterator[None]:
    """Inside the block, this process counts as one that carries the sweeps out."""
    driver = Driver(*this_process())
    paths = [_folder(ledger, sweep) / f"{driver.host}-{driver.pid}.json" for sweep in sweeps]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, files.dumps(driver._asdict()))
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _folder(ledger: Ledger, sweep: Sweep) -> Path:
    return ledger.sweep_folder(sweep) / "drivers"


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


class Local:
    """A sweep of processes. Those of another machine can be seen through the ledger, but not stopped from here."""

    def __init__(self, ledger: Ledger, sweep: Sweep) -> None:
        self._ledger = ledger
        self._sweep = sweep

    def refresh(self) -> None:
        """Close the attempts of this machine whose process has ended without a word."""
        for run in map(self._ledger.run, self._sweep.keys()):
            for attempt in _open_attempt(run):
                if alive_here(attempt) is False:
                    run.close(attempt.number, RunState.failed, Reason.killed, "ended without a word")

    def busy(self) -> bool:
        """Whether a process that carries the sweep out may be at work."""
        return bool(drivers(self._ledger, self._sweep))

    def alive(self, attempt: AttemptRecord) -> bool | None:
        """As the process table has it."""
        return alive_here(attempt)

    def queued(self, run: Run) -> str | None:
        """None: there is no queue."""
        return None

    def seconds_left(self, status: Status) -> float | None:
        """None: there is no time limit."""
        return None

    def retry(self, runs: Sequence[Run]) -> int:
        """Run these here, side by side.

        Raises UserError where somebody does already, or where the code is no longer the one they were frozen with.
        """
        for driver in drivers(self._ledger, self._sweep):
            raise UserError(
                f"{self._sweep.id}: process {driver.pid} on {driver.host} carries it out: watch or cancel it"
            )
        for run in runs:
            frozen, now = run.spec(), code_hash(from_plain(run.spec().config))
            if frozen.code.hash != now:
                raise UserError(
                    f"run {run.key}: frozen with other code (code={frozen.code.hash}, now {now}): "
                    "check that commit out, or run the sweep's command again"
                )
        tracking = TrackingConfig(enabled=self._sweep.tracked, uri=self._sweep.tracking_uri)
        if run_here(Console(stderr=True), self._ledger, [self._sweep], default_workers(Device.auto), tracking):
            return 130
        return int(any(run.state().state is not RunState.done for run in runs))

    def cancel(self, runs: Sequence[Run]) -> int:
        """Interrupt what carries the sweep out, which tells its runs, else the runs: they save checkpoints and end."""
        found = drivers(self._ledger, self._sweep)
        here = [driver.pid for driver in found if driver.alive()]
        for driver in found:
            if driver.alive() is None:
                print(f"process {driver.pid} on {driver.host} carries the sweep on: cancel it there", file=sys.stderr)
        pids = [a.pid for run in runs for a in _open_attempt(run) if alive_here(a) and a.pid is not None]
        for pid in here or pids:
            os.kill(pid, signal.SIGINT)
        return len(pids)


def _open_attempt(run: Run) -> list[AttemptRecord]:
    """The attempt that has not ended, if there is one."""
    newest = run.attempts()[-1:] if run.result() is None else []
    return [attempt for attempt in newest if attempt.end is None]
