"""Runs side by side on one machine: each in a process of its own, so that one's failure is its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from terminator.entry import INTERRUPTED
from terminator.ledger import Reason, Run, RunState, Status

# What every job needs. A job imports PyTorch only once its signals are heeded, so the server is told of it by name.
PRELOADED = ["terminator.job", "terminator.training.loop"]
COMPILER = "torch._dynamo"  # seconds to import; PyTorch's own optimizers do at their first step
View = Callable[[], RenderableType]  # what stands above the bar, drawn anew about twice a second


class Pool:
    """Keeps up to `workers` jobs going until `runs` is empty; SIGINT and SIGTERM end it at the jobs' next steps.

    Jobs come from a fork server that has imported torch already: a new process costs milliseconds, not seconds.
    `on_change` is called after every start and end, and about twice a second.
    """

    def __init__(
        self, runs: Iterable[Run], workers: int, on_change: Callable[[Pool], None], until: float | None = None
    ) -> None:
        """`until`: no run is started after that moment, in seconds since 1970."""
        self._until = until
        self.waiting = deque(runs)
        self.running: dict[int, tuple[Run, ForkServerProcess, float]] = {}  # by process sentinel
        self.ended: list[tuple[Run, float]] = []  # with the seconds each took
        self.interrupted = False
        self._workers = workers
        self._on_change = on_change
        self._context = multiprocessing.get_context("forkserver")
        own = {"kar2", "kar3"}
        compiler = [COMPILER] if any(run.spec().config["optimizer"]["name"] not in own for run in self.waiting) else []
        self._context.set_forkserver_preload([*PRELOADED, *compiler])
        self._stop = self._context.Event()  # for a job that was being started when the signal came

    def run(self) -> None:
        """Returns when every run has ended, or, after an interruption, when those under way have stopped."""
        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self.running or (self.waiting and not self.interrupted):
                self._fill()
                for sentinel in wait(list(self.running), timeout=0.5) if self.running else _pause():
                    assert isinstance(sentinel, int)
                    self._end(sentinel)
                self._on_change(self)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _fill(self) -> None:
        """Start waiting runs on the free workers; one that another sweep has under way goes to the back."""
        if self._until is not None and time.time() >= self._until:
            self.waiting.clear()
        for _ in range(len(self.waiting)):
            if len(self.running) == self._workers or self.interrupted:
                return
            run = self.waiting.popleft()
            state = run.state().state
            if state is RunState.running:
                self.waiting.append(run)
            elif state is RunState.done:
                self.ended.append((run, 0.0))
            else:
                process = self._context.Process(target=_job, args=(run, self._stop), name=f"terminator-{run.key}")
                process.start()
                self.running[process.sentinel] = (run, process, time.monotonic())

    def _end(self, sentinel: int) -> None:
        run, process, started = self.running.pop(sentinel)
        process.join()
        self.ended.append((run, time.monotonic() - started))
        code = process.exitcode or 0
        if code < 0 and run.result() is None and (attempts := run.attempts()):
            message = f"the process was killed by {signal.Signals(-code).name}"
            run.close(attempts[-1].number, RunState.failed, Reason.killed, message)

    def _interrupt(self, number: int, frame: Any) -> None:
        first = not self.interrupted
        self.interrupted = True
        self._stop.set()
        for _, process, _ in self.running.values():
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGINT if first else signal.SIGKILL)


def _pause() -> list[int]:
    time.sleep(0.5)
    return []


def _job(run: Run, stop: Event) -> None:
    if stop.is_set():
        raise SystemExit(INTERRUPTED)
    os.setsid()  # a terminal's Ctrl-C reaches the pool alone, which passes it on once
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    from terminator.job import execute

    raise SystemExit(execute(run))


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


class PoolProgress:
    """A line for each run that ends; on a terminal, a bar below `view`, which then stands for the runs that are done.

    `names` maps a run key to `variant/seed`.
    """

    def __init__(self, console: Console, total: int, names: Mapping[str, str], view: View | None = None) -> None:
        self._console = console
        self._view = view if console.is_terminal else None
        self._total = total
        self._names = names
        self._reported = 0
        columns = (
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("", total=total)
        self._live = Live(console=console, transient=True, auto_refresh=False, get_renderable=self._shown)

    def __enter__(self) -> PoolProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, pool: Pool) -> None:
        """Report the runs that ended since the last call, and redraw the bar."""
        for run, seconds in pool.ended[self._reported :]:
            self._reported += 1
            status = run.state()
            if self._view is None or status.state is not RunState.done:
                line = f"{self._names[run.key]} {ending(status, seconds, pool.interrupted)}"
                self._console.print(Text(f"[{self._reported}/{self._total}] {line}"))
        running = ", ".join(self._where(run) for run, *_ in pool.running.values())
        state = f"stopping at the next step: {running}" if pool.interrupted else running
        self._bar.update(self._task, completed=len(pool.ended), description=state)
        if self._live.is_started:
            self._live.refresh()

    def _shown(self) -> RenderableType:
        return Group(*([self._view()] if self._view else []), self._bar)

    def _where(self, run: Run) -> str:
        status = run.state()
        epoch = f" {status.epoch}/{status.epochs}" if status.epochs else ""
        return f"{self._names[run.key]}{epoch}"


def ending(status: Status, seconds: float, interrupted: bool) -> str:
    """How a run's process ended, which need not be how the run did."""
    if status.state is RunState.done:
        return f"done in {seconds:.1f} s"
    if status.state is RunState.interrupted or (interrupted and status.state is not RunState.failed):
        return f"stopped after {seconds:.1f} s; the same command continues it"
    if status.state is RunState.running:
        return f"left to another process after {seconds:.1f} s"
    reason = f": {status.reason.value}" if status.reason else ""
    detail = f" ({status.message})" if status.message else ""
    return f"{status.state.value}{reason} after {seconds:.1f} s{detail}"
