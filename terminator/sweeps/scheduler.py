"""What carries a sweep's runs out: this machine, or a cluster's queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from terminator.ledger import AttemptRecord, Ledger, Run, Status, Sweep


class Scheduler(Protocol):
    """One sweep's way to the machines. Every method may be called by any login, from any shell."""

    def refresh(self) -> None:
        """Look once at what goes on: close attempts known to be dead, submit what waits for a free place."""

    def busy(self) -> bool:
        """Whether something is about to run what neither runs nor waits."""

    def alive(self, attempt: AttemptRecord) -> bool | None:
        """Whether an open attempt's process lives; None if nobody can tell."""

    def queued(self, run: Run) -> str | None:
        """The job in which the run waits for a machine; None if it waits in none."""

    def seconds_left(self, status: Status) -> float | None:
        """How long the run may go on before its time limit; None where there is no limit."""

    def retry(self, runs: Sequence[Run]) -> int:
        """Run these again, from their checkpoints where they have some. Returns the exit code."""

    def cancel(self, runs: Sequence[Run]) -> int:
        """Stop these, queued or running. Returns how many there were to stop."""


def scheduler_of(ledger: Ledger, sweep: Sweep) -> Scheduler:
    """The one that the sweep was given to."""
    if (ledger.sweep_folder(sweep) / "slurm").exists():
        from terminator.cluster.scheduler import Slurm

        return Slurm(ledger, sweep)
    from terminator.sweeps.local import Local

    return Local(ledger, sweep)
