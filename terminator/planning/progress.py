"""The live line of a sweep: done, running, failed, time left. Plain lines where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from terminator.ledger import Run, RunState, Status
from terminator.planning.pool import Pool


class SweepProgress:
    """Shows a pool's state; `names` maps a run key to `variant/seed`."""

    def __init__(self, console: Console, total: int, skipped: int, workers: int, names: dict[str, str]) -> None:
        self._console = console
        self._total = total
        self._skipped = skipped
        self._workers = workers
        self._names = names
        self._reported = 0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> SweepProgress:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, pool: Pool) -> None:
        """Report the runs that ended since the last call, and redraw the live line."""
        for run, seconds in pool.ended[self._reported :]:
            self._reported += 1
            line = f"{self._names.get(run.key, run.key)} {ending(run.state(), seconds, pool.interrupted)}"
            self._console.print(Text(f"[{self._skipped + self._reported}/{self._total}] {line}"))
        if self._live:
            self._live.update(Text(self._line(pool), style="bold"), refresh=True)

    def _line(self, pool: Pool) -> str:
        failed = sum(run.state().state is not RunState.done for run, _ in pool.ended)
        done = self._skipped + len(pool.ended) - failed
        now = ", ".join(self._where(run) for run, *_ in pool.running.values())
        parts = [
            f"{done}/{self._total} done",
            f"{len(pool.running)} running",
            f"{failed} failed",
            self._left(pool),
            now,
        ]
        return "  ".join(part for part in parts if part)

    def _where(self, run: Run) -> str:
        status = run.state()
        epoch = f" {status.epoch}/{status.epochs}" if status.epochs else ""
        return f"{self._names.get(run.key, run.key)}{epoch}"

    def _left(self, pool: Pool) -> str:
        if pool.interrupted:
            return "stopping at the next step"
        if not pool.ended:
            return ""
        mean = sum(seconds for _, seconds in pool.ended) / len(pool.ended)
        now = time.monotonic()
        under_way = sum(max(mean - (now - started), 0.0) for _, _, started in pool.running.values())
        left = (under_way + mean * len(pool.waiting)) / self._workers
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


def ending(status: Status, seconds: float, interrupted: bool) -> str:
    """How a run's process ended, which need not be how the run did."""
    if status.state is RunState.done:
        return f"done in {seconds:.1f} s"
    if status.state is RunState.interrupted or (interrupted and status.state is not RunState.failed):
        return f"stopped after {seconds:.1f} s; the same command goes on"
    if status.state is RunState.running:
        return f"left to another process after {seconds:.1f} s"
    reason = f": {status.reason.value}" if status.reason else ""
    detail = f" ({status.message})" if status.message else ""
    return f"{status.state.value}{reason} after {seconds:.1f} s{detail}"
