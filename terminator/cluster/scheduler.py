"""A sweep that was given to SLURM, as `terminator sweeps` sees and handles it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from terminator.cluster.journal import Array, journals
from terminator.cluster.slurm import QueuedJob, SlurmAwayError, SlurmRefusedError, ask, default_patience, read_queue
from terminator.cluster.submit import UNSEEN, Submission, journal_of, submit, submit_waiting
from terminator.errors import UserError
from terminator.ledger import AttemptRecord, End, Job, Ledger, Reason, Run, RunState, Status, Sweep, alive_here

CANNOT_OPEN = 53  # the "signal" of a job whose slurmd could not open the job's output
KILLED = 128 + 9
OVER_MEMORY = re.compile(
    r"slurmstepd.*: (?:error: )?(?:.*oom.kill event|Exceeded (?:job|step) memory limit)", re.IGNORECASE
)
END_OF_LOG = 65_536  # bytes

BY_STATE = {
    "BOOT_FAIL": Reason.node_lost,
    "CANCELLED": Reason.cancelled,
    "DEADLINE": Reason.timeout,
    "NODE_FAIL": Reason.node_lost,
    "OUT_OF_MEMORY": Reason.out_of_memory,
    "PREEMPTED": Reason.preempted,
    "REVOKED": Reason.cancelled,
    "TIMEOUT": Reason.timeout,
}


def reason_of(identity: str, job: QueuedJob | None, array: Array) -> Reason:
    """The class of a job that has ended. `job` is None for one that SLURM has forgotten."""
    if job is None:  # without accounting SLURM forgets a task at once that is cancelled before its start
        return Reason.killed if array.log(identity).exists() else Reason.cancelled
    if job.state in BY_STATE:
        return BY_STATE[job.state]
    if job.signal == 9 or job.exit_code == KILLED:
        return Reason.out_of_memory if _exceeded_memory(array.log(identity)) else Reason.killed
    return Reason.exception


def state_of(reason: Reason) -> RunState:
    """How the attempt counts that ended so: what the user stopped has not failed."""
    return RunState.interrupted if reason is Reason.cancelled else RunState.failed


def cannot_see_root(job: QueuedJob | None) -> bool:
    """Whether the node did not find the output root."""
    return job is not None and job.state == "FAILED" and (job.signal == CANNOT_OPEN or job.exit_code == UNSEEN)


def message_of(identity: str, job: QueuedJob | None, array: Array) -> str:
    """What happened to the job, in a line."""
    if job is None and not array.log(identity).exists():
        return f"job {identity} left the queue before it started"
    if job is None:
        return f"job {identity} has left the queue, and there is no accounting to ask why"
    if cannot_see_root(job):
        root = array.folder.parents[3]
        return f"node {job.node} does not see root={root}: it has to be on a file system that the nodes share"
    code = f", signal {job.signal}" if job.signal else f", exit code {job.exit_code}" if job.exit_code else ""
    words = f" ({job.reason})" if job.reason else ""
    return f"job {identity} on {job.node or 'no node'}: {job.state}{code}{words}"


def _exceeded_memory(log: Path) -> bool:
    """Whether SLURM wrote into the job's log that it went over its memory: the state does not always say so."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - END_OF_LOG))
            return OVER_MEMORY.search(file.read().decode("utf-8", "replace")) is not None
    except OSError:
        return False


WAITING = "not submitted yet"
JOBS_PER_CANCEL = 500
PATIENCE = 20.0  # seconds to wait for SLURM before showing what the ledger knows


class Slurm:
    """One sweep's jobs. What SLURM says is read once a refresh; while it is away, what it said before counts."""

    def __init__(self, ledger: Ledger, sweep: Sweep) -> None:
        self._ledger = ledger
        self._sweep = sweep
        self._read = False
        self._away = False
        self._arrays: dict[str, list[tuple[Array, str]]] = {}  # run key → its arrays and jobs, oldest first
        self._known: set[str] = set()
        self._queue: dict[str, QueuedJob] | None = None  # None: SLURM has not answered yet
        self._waiting: set[str] = set()

    def refresh(self) -> None:
        """Read the queue, record what ended without a word, submit what waits for a place."""
        self._look()
        if self._queue is None or self._away:
            return
        for run in map(self._ledger.run, self._sweep.keys()):
            self._record(run)
        self._stop_if_unseen()
        if self._unfinished_business():
            try:
                submission = submit_waiting(self._ledger, self._sweep)
            except UserError as error:
                print(f"terminator: {error}", file=sys.stderr)
            else:
                _say(submission)
            self._look()

    def busy(self) -> bool:
        """Never: what is to run is in the queue, or waits for a place in it."""
        return False

    def alive(self, attempt: AttemptRecord) -> bool | None:
        """Whether the attempt's job runs; None while SLURM is away, or for a job of which this sweep knows nothing."""
        if attempt.job is None or attempt.job.scheduler != "slurm":
            return alive_here(attempt)
        queue = self._jobs()
        if queue is None or attempt.job.id not in self._known:
            return None
        job = queue.get(attempt.job.id)
        return job is not None and job.running

    def queued(self, run: Run) -> str | None:
        """The job that will run it, or the words for a job that waits for a place in the queue."""
        queue = self._jobs() or {}
        for _, identity in self._arrays.get(run.key, []):
            job = queue.get(identity)
            if job is not None and not job.ended:
                return identity
        return WAITING if run.key in self._waiting else None

    def seconds_left(self, status: Status) -> float | None:
        """Of the job's time limit."""
        job = (self._jobs() or {}).get(status.job.id) if status.job is not None else None
        return None if job is None else job.seconds_left

    def retry(self, runs: Sequence[Run]) -> int:
        """Submit these again, with the profile of the last submission. Raises UserError where SLURM refuses."""
        plan = journal_of(self._ledger, self._sweep).plan()
        if plan is None:
            raise UserError(f"{self._sweep.id}: was never given to SLURM: run its command again")
        _say(submit(self._ledger, self._sweep, plan.profile, runs))
        return 0

    def cancel(self, runs: Sequence[Run]) -> int:
        """Cancel their jobs, which save checkpoints and end; forget what waits. Raises UserError if SLURM is away."""
        self._look()
        if self._away:
            raise UserError(f"{self._sweep.id}: nothing was cancelled")
        waiting = self._waiting & {run.key for run in runs}
        journal_of(self._ledger, self._sweep).stop_waiting()
        self._look()
        jobs = {run.key: job for run in runs if (job := self.queued(run)) is not None}
        _scancel(jobs.values())
        return len(jobs.keys() | waiting)

    def _jobs(self) -> dict[str, QueuedJob] | None:
        if not self._read:
            self._look()
        return self._queue

    def _look(self) -> None:
        """Read the journals, then the queue: so every job that is known has been in the queue, and may have left it."""
        self._read = True
        found = [array for journal in journals(self._ledger.root) for array in journal.arrays() if array.job_id]
        found.sort(key=lambda array: array.created)
        self._arrays = {}
        for array in found:
            for index, keys in enumerate(array.jobs):
                for key in keys:
                    self._arrays.setdefault(key, []).append((array, array.job(index)))
        waiting = {key for job in journal_of(self._ledger, self._sweep).waiting() for key in job.keys}
        self._waiting = {key for key in waiting if self._ledger.run(key).result() is None}
        arrays = (self._arrays.get(cell.key, []) for cell in self._sweep.cells())
        mine = {array.token: array for pairs in arrays for array, _ in pairs}
        since = min((array.created for array in mine.values()), default=None)
        try:
            self._queue = read_queue(mine, since, patience=min(PATIENCE, default_patience()))
            self._known = {array.job(index) for array in mine.values() for index in range(len(array.jobs))}
            self._away = False
        except SlurmAwayError as error:
            if not self._away:
                print(f"terminator: {error}; shown is what the ledger knows", file=sys.stderr)
            self._away = True

    def _unfinished_business(self) -> bool:
        """Whether jobs wait for a place, or a submission was cut short."""
        return bool(self._waiting) or any(
            array.job_id is None for array in journal_of(self._ledger, self._sweep).arrays()
        )

    def _record(self, run: Run) -> None:
        """Write into the ledger why the run's last job ended, where neither the run nor its job could."""
        assert self._queue is not None
        jobs = self._arrays.get(run.key)
        if not jobs or run.result() is not None or not run.frozen():
            return
        array, identity = jobs[-1]
        job = self._queue.get(identity)
        if job is not None and (not job.ended or job.state == "COMPLETED"):
            return
        reason = reason_of(identity, job, array)
        attempt = next(iter(run.attempts()[-1:]), None)
        if attempt is None or attempt.job is None or attempt.job.id != identity:
            if attempt is not None and (attempt.started or 0.0) > array.created:
                return  # made since by somebody else
            number = run.begin(Job("slurm", identity, job.node if job else None)).number
            run.close(number, state_of(reason), reason, message_of(identity, job, array))
        elif attempt.end is None:
            run.close(attempt.number, state_of(reason), reason, message_of(identity, job, array))
        elif job is not None and _says_more(job, reason, attempt.end):
            run.explain(attempt.number, state_of(reason), reason, message_of(identity, job, array))

    def _stop_if_unseen(self) -> None:
        """Where a node does not see the output root, cancel what would fail in the same way."""
        journal, queue = journal_of(self._ledger, self._sweep), self._queue or {}
        current = {array.token: array for array in journal.current_arrays()}
        jobs = [job for job in queue.values() if job.name in current]
        blind = next((job for job in jobs if cannot_see_root(job)), None)
        if blind is not None and (self._waiting or any(not job.ended for job in jobs)):
            print(
                f"terminator: {message_of(blind.id, blind, current[blind.name])}; the rest is cancelled",
                file=sys.stderr,
            )
            journal.stop_waiting()
            _scancel(job.id for job in jobs if not job.ended)


def _says_more(job: QueuedJob, reason: Reason, end: End) -> bool:
    """Whether SLURM knows better why a job ended than what its attempt wrote down meanwhile."""
    if end.outcome is RunState.preempted or end.reason is Reason.cancelled:
        return job.state in BY_STATE and reason is not end.reason
    return end.reason is Reason.killed and reason is Reason.out_of_memory


def _scancel(jobs: Iterable[str]) -> None:
    identities = sorted(set(jobs))
    for start in range(0, len(identities), JOBS_PER_CANCEL):
        try:
            ask("scancel", *identities[start : start + JOBS_PER_CANCEL])
        except SlurmRefusedError as error:  # a job that has just ended, say
            print(f"terminator: {error}", file=sys.stderr)


def _say(submission: Submission) -> None:
    if submission.jobs or submission.said:
        print(f"terminator: {submission}", file=sys.stderr)
