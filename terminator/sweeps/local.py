"""Runs that are processes of the machine where they were started: side by side, or through a Hydra launcher."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from terminator.cluster.journal import journals, run_jobs, under_way
from terminator.config import Device, from_plain
from terminator.errors import UserError
from terminator.ledger import Ledger, Reason, Run, RunState, Sweep, alive_here, distinctions, files
from terminator.ledger.provenance import is_alive, this_process
from terminator.run_key import code_hash
from terminator.sweeps.pool import Pool, PoolProgress, View
from terminator.sweeps.scheduler import Launch, Scheduler
from terminator.text import counted, to_overrides
from terminator.tracking import LiveSync

SECONDS_FOR_SLURM = 20.0  # to wait for its answer where runs were given to it before
MOST_NAMED = 5


class Local(Scheduler):
    """A pool of processes. Those of another machine can be seen through the ledger, but not stopped from here."""

    def __init__(
        self, ledger: Ledger, sweeps: Sequence[Sweep], workers: int | None = None, view: View | None = None
    ) -> None:
        """`view`: what to show on a terminal while runs go on."""
        self._view = view
        self._until = min((sweep.until for sweep in sweeps if sweep.until is not None), default=None)
        self._ledger = ledger
        self._sweeps = sweeps
        self._workers = workers

    def start(self, runs: Sequence[Run]) -> bool:
        """Run these side by side, until all have ended; but leave those to SLURM that it has in its queue."""
        runs = self._left_by_slurm(runs)
        tracked = [sweep for sweep in self._sweeps if sweep.tracked]
        follower = LiveSync(self._ledger, tracked) if tracked else None
        try:
            if runs:
                self._carry_out(runs)
        finally:
            if follower:
                print(follower.close(), file=sys.stderr)
        return True

    def retry(self, runs: Sequence[Run]) -> bool:
        """Run these here.

        Raises UserError where another process does already, or where the code is not the one they were frozen with.
        """
        for driver in self._drivers():
            raise UserError(
                f"{self._sweeps[0].id}: process {driver.pid} on {driver.host} is running it: watch or cancel it"
            )
        for run in runs:
            frozen, now = run.spec(), code_hash(from_plain(run.spec().config))
            if frozen.code.hash != now:
                raise UserError(
                    f"run {run.key}: frozen with other code (code={frozen.code.hash}, now {now}): "
                    "check that commit out, or run the sweep's command again"
                )
        self._until = None
        return self.start(runs)

    def cancel(self, runs: Sequence[Run]) -> int:
        """Interrupt the sweep's own process, which passes it on, else the runs: they save checkpoints and end."""
        found = self._drivers()
        here = [driver.pid for driver in found if driver.alive()]
        for driver in found:
            if driver.alive() is None:
                print(f"process {driver.pid} on {driver.host} is running it: cancel it there", file=sys.stderr)
        open_here = [attempt for run in runs if (attempt := run.open_attempt()) is not None and alive_here(attempt)]
        pids = [attempt.pid for attempt in open_here if attempt.pid is not None]
        for pid in here or pids:
            try:
                os.kill(pid, signal.SIGINT)
            except PermissionError:
                raise UserError(f"process {pid} is another user's, who alone can cancel it") from None
        return len(pids)

    def refresh(self) -> None:
        """Close the attempts of this machine whose process is gone."""
        for run in self._ledger.runs_of(self._sweeps):
            attempt = run.open_attempt()
            if attempt is not None and alive_here(attempt) is False:
                message = "the process ended without recording why"
                run.close(attempt.number, RunState.failed, Reason.killed, message)
        self._ledger.remove_left_behind(self._sweeps, self.alive)

    def busy(self) -> bool:
        """Whether the process of the sweep may be at work."""
        return bool(self._drivers())

    def _left_by_slurm(self, runs: Sequence[Run]) -> list[Run]:
        """The runs without those that are SLURM's, which are named in a line."""
        keys = {run.key for run in runs}
        arrays = (array for journal in journals(self._ledger.root) for array in journal.arrays())
        submitted = {key: jobs for key, jobs in run_jobs(arrays).items() if key in keys}
        try:
            taken = under_way(submitted, SECONDS_FOR_SLURM) if submitted else {}
        except UserError as error:
            doubt = f"{counted(len(submitted), 'run')} given to SLURM before may be in its queue still"
            print(f"terminator: {error}: {doubt}", file=sys.stderr)
            return list(runs)
        if taken:
            which = ", ".join(sorted(taken.values())[:MOST_NAMED]) + (", …" if len(taken) > MOST_NAMED else "")
            left = f"{counted(len(taken), 'run')} left to SLURM, which has {'it' if len(taken) == 1 else 'them'} queued"
            print(f"terminator: {left} or running ({which}); `sweeps cancel` takes them back", file=sys.stderr)
        return [run for run in runs if run.key not in taken]

    def _carry_out(self, runs: Sequence[Run]) -> None:
        names = {
            key: " ".join(filter(None, [name, distinction]))
            for sweep, distinction in zip(self._sweeps, distinctions(self._sweeps), strict=True)
            for key, name in sweep.names().items()
        }
        workers = min(self._workers or _default_workers(runs), len(runs))
        progress = PoolProgress(Console(stderr=True, markup=False, emoji=False), len(runs), names, self._view)
        with driving(self._ledger, self._sweeps), progress:
            pool = Pool(runs, workers, progress.update, self._until)
            pool.run()
        if pool.interrupted:
            raise KeyboardInterrupt

    def _drivers(self) -> list[Driver]:
        return [driver for sweep in self._sweeps for driver in drivers(self._ledger, sweep)]


class HydraLauncher(Local):
    """Hands the runs to one of Hydra's launchers, each as its overrides, and waits for it."""

    def __init__(self, ledger: Ledger, sweeps: Sequence[Sweep], launch: Launch) -> None:
        super().__init__(ledger, sweeps)
        self._launch = launch

    def _carry_out(self, runs: Sequence[Run]) -> None:
        wanted = {run.key for run in runs}
        jobs: dict[str, list[str]] = {}
        for sweep in self._sweeps:
            for cell in sweep.cells():
                if cell.key in wanted:
                    overrides = [*sweep.base, *to_overrides(cell.variant.overrides), f"seed={cell.seed}"]
                    jobs.setdefault(cell.key, overrides)
        self._launch(list(jobs.values()))


class Driver(NamedTuple):
    """A process that carries a sweep out: a file in `drivers/`, beside sweep.json."""

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


def _default_workers(runs: Sequence[Run]) -> int:
    """As many as there are GPUs where runs use them, else as many as there are CPU cores for this process."""
    if any(run.spec().config["machine"]["device"] != Device.cpu.value for run in runs):
        import torch

        if gpus := torch.cuda.device_count():
            return gpus
    return len(os.sched_getaffinity(0))
