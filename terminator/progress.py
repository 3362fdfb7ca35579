"""What a run says while it trains: plain lines in its log, and a bar where somebody is watching."""

from __future__ import annotations

from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from terminator.text import counted


class Progress:
    """A line an epoch on standard output (the log) and on `watcher`, if any; as a terminal it shows a bar too."""

    def __init__(self, watcher: TextIO | None) -> None:
        self._console = (
            None
            if watcher is None
            else Console(file=watcher, highlight=False, markup=False, emoji=False, soft_wrap=True)
        )
        self._bar: Bar | None = None
        self._steps_per_epoch = self._epochs = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, *, epochs: int, steps_per_epoch: int, done: int) -> None:
        """Training starts, with `done` steps behind it."""
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        if done:
            epoch, step = divmod(done, steps_per_epoch)
            self.say(f"resuming after {counted(epoch, 'epoch')} and {counted(step, 'step')}")
        if self._console is not None and self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            # Standard output is the log, not the terminal that the bar is on.
            self._bar = Bar(
                *columns, console=self._console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._bar.add_task("starting", total=epochs * steps_per_epoch, completed=done)
            self._bar.start()

    def step(self, done: int) -> None:
        """`done` steps are behind the run; called after every one."""
        if self._bar is not None:
            epoch = min(done // self._steps_per_epoch + 1, self._epochs)
            self._bar.update(self._bar.task_ids[0], completed=done, description=f"epoch {epoch}/{self._epochs}")

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch's row, as the ledger has it."""
        self.say(
            f"epoch {row['epoch']}/{self._epochs}  loss {row['train_loss']:.4f}  "
            f"train {100 * row['train_accuracy']:.2f} %  validation {100 * row['validation_accuracy']:.2f} %  "
            f"{row['epoch_seconds']:.1f} s"
        )

    def say(self, line: str) -> None:
        """One plain line."""
        print(line, flush=True)
        if self._console is not None:
            self._console.print(line)
