"""One run's folder: what was planned, the attempts at it, and the result."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from terminator.errors import NO_RIGHTS, UserError
from terminator.ledger import files
from terminator.ledger.provenance import alive_here, this_process
from terminator.ledger.records import (
    Alive,
    AttemptRecord,
    End,
    Job,
    Progress,
    Reason,
    Result,
    ResumedFrom,
    RunState,
    Spec,
    Status,
)

METRICS = "metrics.jsonl"  # of an attempt: a row an epoch
CHECKPOINT = "checkpoint.pt"  # of an attempt
CORRECT = "test_correct.bin"  # of an attempt: a bit a test image
SECONDS_BETWEEN_PROGRESS = 1.0


class Superseded(RuntimeError):  # noqa: N818 — named like its exit code
    """A newer attempt has taken over, or the run is over: this one must end and write nothing more."""


class Run:
    """A run by its key. Its folder need not exist: then the run is pending."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder.name

    def spec(self) -> Spec:
        """The frozen run. Raises UserError where there is no intact spec.json."""
        spec = files.read(self.folder / "spec.json", Spec.parse)
        if spec is None:
            raise UserError(f"run {self.key}: {self.folder}/spec.json is missing: run the sweep's command again")
        return spec

    def frozen(self) -> bool:
        """Whether there is an intact spec.json."""
        return files.read(self.folder / "spec.json", Spec.parse) is not None

    def result(self) -> Result | None:
        """The final metrics, once the run is done."""
        return files.read(self.folder / "result.json", Result.parse)

    def attempt_folder(self, number: int) -> Path:
        """Where attempt `number` writes."""
        return self.folder / "attempts" / f"{number:04d}"

    def attempt_numbers(self) -> list[int]:
        """The attempts made so far, in order."""
        try:
            names = os.listdir(self.folder / "attempts")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name) for name in names if name.isdigit())

    def attempts(self) -> list[AttemptRecord]:
        """All attempts, oldest first."""
        return [self._attempt(number) for number in self.attempt_numbers()]

    def last_attempt(self) -> AttemptRecord | None:
        """The newest attempt; None before the first."""
        numbers = self.attempt_numbers()
        return self._attempt(numbers[-1]) if numbers else None

    def open_attempt(self) -> AttemptRecord | None:
        """The newest attempt, where neither it nor the run is over."""
        attempt = self.last_attempt() if self.result() is None else None
        return attempt if attempt is not None and attempt.end is None else None

    def state(self, alive: Alive = alive_here) -> Status:
        """Where the run stands; writes nothing. `alive` tells whether an open attempt's process lives, None if unknown.

        An open attempt known to be dead counts as failed, killed; one that nobody can tell about counts as running.
        """
        numbers = self.attempt_numbers()
        record = self._attempt(numbers[-1]) if numbers else None
        result = self.result()
        if result is None and record is not None and record.end is None:
            if alive(record) is not False:
                return _status(record, len(numbers))
            # It may have ended in good order just after its files were read.
            record, result = self._attempt(record.number), self.result()
        seen = Status(RunState.pending) if record is None else _status(record, len(numbers))
        if result is not None:
            return replace(seen, state=RunState.done, updated=result.finished)
        if record is None:
            return seen
        if (end := record.end) is None:
            message = "the process ended without recording why"
            return replace(seen, state=RunState.failed, reason=Reason.killed, message=message)
        if end.outcome is RunState.done:  # its result has been deleted or set aside
            return replace(seen, state=RunState.pending)
        return replace(seen, state=end.outcome, reason=end.reason, message=end.message, updated=end.ended)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of the attempt that finished, else of the newest one."""
        result = self.result()
        number = result.attempt if result is not None else max(self.attempt_numbers(), default=0)
        return files.read_rows(self.attempt_folder(number) / METRICS)

    def test_correct(self) -> bytes | None:
        """Which test images the finished run got right, in their order: packed bits, the first image's the highest."""
        result = self.result()
        path = self.attempt_folder(result.attempt) / CORRECT if result is not None else None
        return path.read_bytes() if path is not None and path.exists() else None

    def checkpoint_path(self, result: Result) -> Path | None:
        """The checkpoint of the finished run's end; None where it was not kept.

        An attempt that had nothing left but the test made none: then it is that of the attempt which it went on from.
        """
        number = result.attempt
        while not (path := self.attempt_folder(number) / CHECKPOINT).exists():
            if (origin := self._attempt(number).resumed_from) is None:
                return None
            number = origin.attempt
        return path

    def log_path(self) -> Path | None:
        """The newest attempt's log, if it has one."""
        path = self.attempt_folder(max(self.attempt_numbers(), default=0)) / "log.txt"
        return path if path.exists() else None

    def begin(self, job: Job | None = None) -> Attempt:
        """A new attempt by this process, which fences off all others. Raises Superseded if the run has its result."""
        if self.result() is not None:
            raise Superseded(f"run {self.key}: has a result already")
        attempts = self.folder / "attempts"
        attempts.mkdir(parents=True, exist_ok=True)
        draft = files.temporary_path(attempts / "new")
        draft.mkdir()
        try:
            while True:
                number = max(self.attempt_numbers(), default=0) + 1
                files.write(draft / "attempt.json", files.dumps(_beginning(number, job)))
                try:
                    # A folder never takes the place of one that holds a file: of many processes, one gets the number,
                    # and the attempt is never seen without its record.
                    os.rename(draft, self.attempt_folder(number))
                    self.remove_left_behind()
                    return Attempt(self, number)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def remove_left_behind(self, alive: Alive = alive_here) -> None:
        """Remove the temporary files of attempts whose process was killed; `alive` as for `state`."""
        numbers = self.attempt_numbers()
        if len(numbers) == 1 and (self.folder / "result.json").exists():
            return  # it was never killed

        def dead() -> list[files.Writer]:
            ended = [attempt for attempt in self.attempts() if alive(attempt) is False]
            # Of a node that was lost nobody knows; but what an attempt writes after the next one has begun is in vain.
            lost = [each for each in ended if each.end is not None and each.end.reason is Reason.node_lost]
            sure = [each for each in ended if each not in lost or each.number < numbers[-1]]
            return [(each.host, each.pid, each.process_started) for each in sure]

        folders = [self.folder, self.folder / "attempts", *map(self.attempt_folder, numbers)]
        files.remove_left_behind(folders, dead)

    def close(self, number: int, state: RunState, reason: Reason | None, message: str, traceback: str = "") -> bool:
        """Record how attempt `number` ended; for a dead one, by whoever found it.

        False if that was known already, or if this login may only read.
        """
        ending = files.dumps(_ending(state, reason, message, traceback))
        try:
            return files.write_once(self.attempt_folder(number) / "end.json", ending)
        except OSError as error:
            if error.errno in NO_RIGHTS:
                return False
            raise

    def explain(self, number: int, state: RunState, reason: Reason, message: str) -> None:
        """Replace how a stopped attempt recorded its end: its job knows whether that was a time limit, say."""
        files.write(self.attempt_folder(number) / "end.json", files.dumps(_ending(state, reason, message)))

    def _attempt(self, number: int) -> AttemptRecord:
        folder = self.attempt_folder(number)

        def parse(plain: dict[str, Any]) -> AttemptRecord:
            return AttemptRecord(
                number=number,
                folder=folder,
                host=plain["host"],
                pid=plain["pid"],
                process_started=plain["process_started"],
                started=plain["started"],
                job=None if plain["job"] is None else Job(**plain["job"]),
                resumed_from=None if plain["resumed_from"] is None else ResumedFrom(**plain["resumed_from"]),
                progress=files.read(folder / "progress.json", lambda progress: Progress(**progress)),
                end=files.read(folder / "end.json", End.parse),
            )

        damaged = dict.fromkeys(("host", "pid", "process_started", "started", "job", "resumed_from"))
        return files.read(folder / "attempt.json", parse) or parse(damaged)


def _status(record: AttemptRecord, attempts: int) -> Status:
    """Of a run whose newest attempt, of so many, is open."""
    progress = record.progress
    return Status(
        RunState.running,
        attempt=record.number,
        attempts=attempts,
        epoch=progress.epoch if progress else None,
        epochs=progress.epochs if progress else None,
        started=record.started,
        updated=progress.updated if progress else record.started,
        host=record.host,
        job=record.job,
    )


def _beginning(number: int, job: Job | None) -> dict[str, Any]:
    """attempt.json of an attempt that begins now, as JSON."""
    host, pid, started = this_process()
    return {
        "number": number,
        "host": host,
        "pid": pid,
        "process_started": started,
        "started": time.time(),
        "job": None if job is None else asdict(job),
        "resumed_from": None,
    }


def _ending(state: RunState, reason: Reason | None, message: str, traceback: str = "") -> dict[str, Any]:
    """end.json of an attempt that is over now, as JSON."""
    return {
        "outcome": state.value,
        "reason": None if reason is None else reason.value,
        "message": message,
        "traceback": traceback,
        "ended": time.time(),
    }


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
        return self.folder / CHECKPOINT

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
        files.append_row(self.folder / METRICS, row)

    def progress(self, *, epoch: int, epochs: int, step: int, steps_per_epoch: int) -> None:
        """Record how far the attempt is: `step` steps into `epoch`, which counts from 1. Raises Superseded.

        Written once a second and at the end, so it may be called at every step.
        """
        self._progress = Progress(epoch, epochs, step, steps_per_epoch, time.time())
        if not 0 <= self._progress.updated - self._progress_written < SECONDS_BETWEEN_PROGRESS:
            self.check()
            self._write_progress()

    def resume_candidates(self) -> list[Path]:
        """The checkpoints of the attempts before, newest attempt first."""
        older = (number for number in reversed(self.run.attempt_numbers()) if number < self.number)
        checkpoints = (self.run.attempt_folder(number) / CHECKPOINT for number in older)
        return [path for path in checkpoints if path.exists()]

    def set_aside(self, path: Path, why: str = "cannot be read") -> Path:
        """Rename a damaged file (a checkpoint, say) to `<name>.corrupt-<n>`, with a warning. Returns the new path."""
        return files.set_aside(path, why)

    def adopt(self, checkpoint: Path, epoch: int, step: int = 0) -> None:
        """Go on from `checkpoint`: copy its attempt's rows of the first `epoch` epochs, record where it came from.

        `step`: steps done of epoch `epoch + 1`. Raises Superseded.
        """
        self.check()
        rows = [row for row in files.read_rows(checkpoint.parent / METRICS) if row["epoch"] <= epoch]
        files.write(self.folder / METRICS, "".join(map(files.row_line, rows)))
        origin = ResumedFrom(int(checkpoint.parent.name), epoch, step)
        record = json.loads((self.folder / "attempt.json").read_text("utf-8"))
        files.write(self.folder / "attempt.json", files.dumps({**record, "resumed_from": origin._asdict()}))

    def keep_correct(self, packed: bytes) -> None:
        """Record which test images are classified correctly, before `finish`. Raises Superseded."""
        self.check()
        (self.folder / CORRECT).write_bytes(packed)

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

    def stop(self, state: RunState, message: str = "") -> None:
        """Record that the attempt ended early and can be resumed: preempted or interrupted. Raises Superseded."""
        self.check()
        self._end(state, Reason(state.value), message)

    def _end(self, state: RunState, reason: Reason | None = None, message: str = "", traceback: str = "") -> None:
        self._write_progress()
        self.run.close(self.number, state, reason, message, traceback)

    def _write_progress(self) -> None:
        if self._progress is not None and self._progress.updated > self._progress_written:
            files.write(self.folder / "progress.json", files.dumps(asdict(self._progress)))
            self._progress_written = self._progress.updated
