"""Watching a sweep until nothing more happens to it."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live

from terminator.ledger import Ledger, Sweep
from terminator.sweeps.scheduler import Scheduler
from terminator.sweeps.show import Row, counts, rows, run_table

SECONDS_BETWEEN = 2.0


def watch(console: Console, ledger: Ledger, sweep: Sweep, scheduler: Scheduler) -> list[Row]:
    """Show the sweep until no run is queued or running; where there is no terminal, a line whenever it changes."""
    with Live(console=console, auto_refresh=False, transient=True) as live:
        said = ""
        while True:
            scheduler.refresh()
            found = rows(ledger, sweep, scheduler)
            if all(row.over for row in found) and not scheduler.busy():
                return found
            now = counts(row.state for row in found)
            if console.is_terminal:
                live.update(run_table(ledger, sweep, found), refresh=True)
            elif now != said:
                console.print(f"{sweep.id}: {now}")
            said = now
            time.sleep(SECONDS_BETWEEN)
