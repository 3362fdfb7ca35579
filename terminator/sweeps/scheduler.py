"""What carries a sweep's runs out: this machine, a cluster's queue, or one of Hydra's launchers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import RenderableType

from terminator.cluster.profile import ClusterProfile
from terminator.errors import UserError
from terminator.ledger import AttemptRecord, Ledger, Run, Sweep, alive_here
from terminator.planning.settings import Settings

Launch = Callable[[list[list[str]]], object]  # one of Hydra's launchers: jobs as lists of overrides


class Scheduler(Protocol):
    """The way to the machines of one sweep, or of the sweeps of one command, from any login and any shell.

    A new one is a class with `start`, `retry`, `cancel` and `refresh`, named in the two functions below.
    """

    def start(self, runs: Sequence[Run]) -> bool:
        """Carry out exactly these runs, from their checkpoints where they have some.

        Returns True when they have ended, False as soon as they go on without this process. Raises UserError where
        they are refused, and KeyboardInterrupt after an orderly stop.
        """
        ...

    def retry(self, runs: Sequence[Run]) -> bool:
        """As `start`, but from any shell, for runs that were started before and have no result."""
        ...

    def cancel(self, runs: Sequence[Run]) -> int:
        """Stop these, queued or running. Returns how many there were to stop."""
        ...

    def refresh(self) -> None:
        """Look once at what goes on: close attempts known to be dead, submit what waits for a free place."""
        ...

    def check(self) -> None:
        """Called before anything is written. Raises UserError where the runs would be refused."""
        return

    def busy(self) -> bool:
        """Whether a process at work is about to start further runs."""
        return False

    def alive(self, attempt: AttemptRecord) -> bool | None:
        """Whether an open attempt's process lives; None if nobody can tell."""
        return alive_here(attempt)

    def queued(self, run: Run) -> str | None:
        """The job in which the run waits for a machine; None if it waits in none."""
        return None

    def seconds_left(self, run: Run) -> float | None:
        """How long the run may go on before its time limit; None where there is no limit."""
        return None


def scheduler_for(
    settings: Settings,
    ledger: Ledger,
    sweeps: Sequence[Sweep],
    launch: Launch | None = None,
    view: Callable[[], RenderableType] | None = None,
) -> Scheduler:
    """The one that a command asks for. `launch`: the launcher of `hydra/launcher=`, None for Hydra's default.

    `view`: what to show on a terminal while runs go on here.
    """
    from terminator.cluster.scheduler import Slurm
    from terminator.sweeps.local import HydraLauncher, Local

    on_cluster = isinstance(settings.cluster, ClusterProfile)
    if launch and on_cluster:
        raise UserError("hydra/launcher: cluster= submits by itself; give one of the two")
    if launch:
        return HydraLauncher(ledger, sweeps, launch)
    if on_cluster:
        return Slurm(ledger, sweeps, settings.cluster)
    return Local(ledger, sweeps, settings.sweep.workers, view)


def scheduler_of(ledger: Ledger, sweep: Sweep) -> Scheduler:
    """The one that the sweep was given to."""
    from terminator.cluster.scheduler import Slurm
    from terminator.sweeps.local import Local

    return Slurm(ledger, [sweep]) if Slurm.has(ledger, sweep) else Local(ledger, [sweep])
