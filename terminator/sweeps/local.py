"""Sweeps that run on the machine where they were started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from terminator.errors import UserError
from terminator.ledger import (
    AttemptRecord,
    Ledger,
    Outcome,
    Reason,
    Run,
    RunState,
    Status,
    Sweep,
    alive_here,
    code_hash,
)
from terminator.sweeps.driver import drivers


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
                    run.close(attempt.number, Outcome.failed, Reason.killed, "ended without a word")

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
            if run.spec().code.hash != code_hash():
                raise UserError(
                    f"run {run.key}: frozen with other code (code={run.spec().code.hash}, now {code_hash()}): "
                    "check that commit out, or run the sweep's command again"
                )
        from terminator.config import Device
        from terminator.planning.local import default_workers, run_here
        from terminator.settings import TrackingConfig

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
