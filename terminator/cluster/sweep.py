"""What `cluster=NAME` does with a planned sweep: submit it and leave, or stay until it is over."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from terminator.cluster.profile import ClusterProfile
from terminator.cluster.submit import submit
from terminator.ledger import Ledger, Sweep
from terminator.settings import TrackingConfig
from terminator.text import counted
from terminator.tracking import LiveSync


def submit_sweeps(console: Console, ledger: Ledger, sweeps: Sequence[Sweep], profile: ClusterProfile) -> None:
    """Queue the frozen sweeps' runs that have no result, and say how to come back. Raises UserError."""
    for sweep in sweeps:
        runs = list(map(ledger.run, sweep.keys()))
        done = sum(run.result() is not None for run in runs)
        console.print(f"{sweep.id}: {counted(len(runs), 'run')}, {done} done already → {ledger.root}", soft_wrap=True)
        console.print(f"{submit(ledger, sweep, profile, runs)}", soft_wrap=True)
        root = f"--root {ledger.root} {sweep.id}"
        console.print(f"come back with: python -m terminator.sweeps status|watch|retry|cancel {root}", soft_wrap=True)


def stay(console: Console, ledger: Ledger, sweeps: Sequence[Sweep], tracking: TrackingConfig) -> bool:
    """Show progress, and keep MLflow up to date, until nothing is queued or running; whether that came to pass.

    Ctrl-C ends the show, not the jobs.
    """
    from terminator.sweeps.scheduler import scheduler_of
    from terminator.sweeps.show import watch

    follower = LiveSync(ledger, sweeps) if tracking.enabled else None
    try:
        for sweep in sweeps:
            watch(console, ledger, sweep, scheduler_of(ledger, sweep))
    except KeyboardInterrupt:
        console.print("the jobs go on without this command")
        return False
    finally:
        if follower:
            console.print(follower.close(), soft_wrap=True)
    return True
