"""One run's folder: what was planned, tried and found."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from terminator.errors import UserError
from terminator.ledger import files, metrics
from terminator.ledger.attempt import Attempt, Superseded, new_attempt_record
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

    def state(self, alive: Alive = alive_here) -> Status:
        """Where the run stands; writes nothing. `alive` tells whether an open attempt's process lives, None if unknown.

        An open attempt known to be dead counts as failed, killed; one that nobody can tell about counts as running.
        """
        numbers = self.attempt_numbers()
        record = self._attempt(numbers[-1]) if numbers else None
        result = self.result()
        if result is None and record is not None and record.end is None:
            if alive(record) is not False:
                return self._status(RunState.running, record, len(numbers))
            # It may have ended in good order just after its files were read.
            record, result = self._attempt(record.number), self.result()
        if result is not None:
            return self._status(RunState.done, record, len(numbers), updated=result.finished)
        if record is None:
            return Status(RunState.pending)
        if record.end is None:
            message = "ended without a word"
            return self._status(RunState.failed, record, len(numbers), reason=Reason.killed, message=message)
        if record.end.outcome is RunState.done:  # its result has been deleted or set aside
            return self._status(RunState.pending, record, len(numbers))
        end = record.end
        return self._status(
            end.outcome, record, len(numbers), reason=end.reason, message=end.message, updated=end.ended
        )

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of the attempt that finished, else of the newest one."""
        result = self.result()
        number = result.attempt if result is not None else max(self.attempt_numbers(), default=0)
        return metrics.read(self.attempt_folder(number) / metrics.NAME)

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
        draft = attempts / f".new-{os.getpid()}-{secrets.token_hex(4)}"
        draft.mkdir()
        try:
            while True:
                number = max(self.attempt_numbers(), default=0) + 1
                record = new_attempt_record(number, job, this_process())
                files.write(draft / "attempt.json", files.dumps(record))
                try:
                    # A folder never takes the place of one that holds a file: of many processes, one gets the number,
                    # and the attempt is never seen without its record.
                    os.rename(draft, self.attempt_folder(number))
                    return Attempt(self, number)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def close(self, number: int, outcome: RunState, reason: Reason | None, message: str, traceback: str = "") -> bool:
        """Record how attempt `number` ended; for a dead one, by whoever found it.

        False if that was known already, or if this login may only read.
        """
        ending = files.dumps(_ending(outcome, reason, message, traceback))
        try:
            return files.write_once(self.attempt_folder(number) / "end.json", ending)
        except PermissionError:
            return False

    def explain(self, number: int, outcome: RunState, reason: Reason, message: str) -> None:
        """Replace what a stopped attempt said of its end: its job knows whether that was a time limit, say."""
        files.write(self.attempt_folder(number) / "end.json", files.dumps(_ending(outcome, reason, message)))

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

    @staticmethod
    def _status(
        state: RunState,
        record: AttemptRecord | None,
        attempts: int,
        *,
        reason: Reason | None = None,
        message: str = "",
        updated: float | None = None,
    ) -> Status:
        if record is None:
            return Status(state, reason, message, updated=updated)
        progress = record.progress
        return Status(
            state=state,
            reason=reason,
            message=message,
            attempt=record.number,
            attempts=attempts,
            epoch=progress.epoch if progress else None,
            epochs=progress.epochs if progress else None,
            started=record.started,
            updated=updated or (progress.updated if progress else record.started),
            host=record.host,
            job=record.job,
        )


def _ending(outcome: RunState, reason: Reason | None, message: str, traceback: str = "") -> dict[str, Any]:
    """end.json of an attempt that is over now, as JSON."""
    return {
        "outcome": outcome.value,
        "reason": None if reason is None else reason.value,
        "message": message,
        "traceback": traceback,
        "ended": time.time(),
    }
