"""One try at a run, seen from the process that makes it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terminator.ledger import files, metrics
from terminator.ledger.records import Job, Progress, Reason, ResumedFrom, RunState

if TYPE_CHECKING:
    from terminator.ledger.run import Run

SECONDS_BETWEEN_PROGRESS = 1.0


class Superseded(RuntimeError):  # noqa: N818 — the word of the exit code and the log
    """A newer attempt has taken over, or the run is over: this one must end and write nothing more."""


class Attempt:
    """A numbered folder that only this process writes to; the highest number is the one that counts."""

    def __init__(self, run: Run, number: int) -> None:
        self.run = run
        self.number = number
        self.folder = run.attempt_folder(number)
        self._progress: Progress | None = None
        self._progress_written = 0.0

    @property
    def checkpoint_path(self) -> Path:
        """Where this attempt keeps its checkpoint."""
        return self.folder / "checkpoint.pt"

    def check(self) -> None:
        """Raise Superseded if a newer attempt exists, or the run's folder is gone."""
        newest = max(self.run.attempt_numbers(), default=0)
        if newest > self.number:
            raise Superseded(f"run {self.run.key}: attempt {self.number} is superseded by attempt {newest}")
        if newest < self.number:
            raise Superseded(f"run {self.run.key}: the folder of attempt {self.number} has been deleted")

    def log_epoch(self, row: dict[str, Any]) -> None:
        """Append an epoch's row, which holds `epoch` (from 1), `step`, `time` and numbers. Raises Superseded."""
        self.check()
        metrics.append(self.folder / metrics.NAME, row)

    def progress(self, *, epoch: int, epochs: int, step: int, steps_per_epoch: int) -> None:
        """Say how far the attempt is: `step` steps into `epoch`, which counts from 1. Raises Superseded.

        Written once a second and at the end, so it may be called at every step.
        """
        self._progress = Progress(epoch, epochs, step, steps_per_epoch, time.time())
        if not 0 <= self._progress.updated - self._progress_written < SECONDS_BETWEEN_PROGRESS:
            self.check()
            self._write_progress()

    def resume_candidates(self) -> list[Path]:
        """The checkpoints of the attempts before, newest attempt first."""
        older = (number for number in reversed(self.run.attempt_numbers()) if number < self.number)
        checkpoints = (self.run.attempt_folder(number) / "checkpoint.pt" for number in older)
        return [path for path in checkpoints if path.exists()]

    def set_aside(self, path: Path, why: str = "cannot be read") -> Path:
        """Rename a damaged file (a checkpoint, say) to `<name>.corrupt-<n>`, with a warning. Returns the new path."""
        return files.set_aside(path, why)

    def adopt(self, checkpoint: Path, epoch: int, step: int = 0) -> None:
        """Go on from `checkpoint`: copy its attempt's rows of the first `epoch` epochs, record where it came from.

        `step`: steps done of epoch `epoch + 1`. Raises Superseded.
        """
        self.check()
        rows = [row for row in metrics.read(checkpoint.parent / metrics.NAME) if row["epoch"] <= epoch]
        files.write(self.folder / metrics.NAME, "".join(metrics.line(row) for row in rows))
        origin = ResumedFrom(int(checkpoint.parent.name), epoch, step)
        record = json.loads((self.folder / "attempt.json").read_text("utf-8"))
        files.write(self.folder / "attempt.json", files.dumps({**record, "resumed_from": origin._asdict()}))

    def finish(self, result: dict[str, Any]) -> None:
        """Record the run's final metrics; the run is done. Raises Superseded, also if the run has a result already."""
        self.check()
        plain = {
            "schema": files.SCHEMA,
            "key": self.run.key,
            "attempt": self.number,
            "finished": time.time(),
            "metrics": result,
        }
        if not files.write_once(self.run.folder / "result.json", files.dumps(plain)):
            raise Superseded(f"run {self.run.key}: has a result already, so that of attempt {self.number} is dropped")
        self._end(RunState.done)

    def fail(self, reason: Reason, message: str, traceback: str = "") -> None:
        """Record that the attempt failed, and why. Raises Superseded."""
        self.check()
        self._end(RunState.failed, reason, message, traceback)

    def stop(self, outcome: RunState, message: str = "") -> None:
        """Record that the attempt ended early and can be resumed: preempted or interrupted. Raises Superseded."""
        self.check()
        self._end(outcome, Reason(outcome.value), message)

    def _end(self, outcome: RunState, reason: Reason | None = None, message: str = "", traceback: str = "") -> None:
        self._write_progress()
        self.run.close(self.number, outcome, reason, message, traceback)

    def _write_progress(self) -> None:
        if self._progress is not None and self._progress.updated > self._progress_written:
            files.write(self.folder / "progress.json", files.dumps(asdict(self._progress)))
            self._progress_written = self._progress.updated


def new_attempt_record(number: int, job: Job | None, process: tuple[str, int, str]) -> dict[str, Any]:
    """attempt.json of an attempt that begins now, as JSON."""
    host, pid, started = process
    return {
        "number": number,
        "host": host,
        "pid": pid,
        "process_started": started,
        "started": time.time(),
        "job": None if job is None else asdict(job),
        "resumed_from": None,
    }
