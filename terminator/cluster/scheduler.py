"""Sweeps that were given to SLURM, as `terminator sweeps` sees and handles them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from terminator.cluster.executor import UNSEEN, check_root
from terminator.cluster.journal import Array, RunJob, journals, run_jobs
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import (
    ENDINGS,
    JobId,
    QueuedJob,
    SlurmAwayError,
    SlurmRefusedError,
    ask,
    default_patience,
    read_queue,
)
from terminator.cluster.submit import (
    Submission,
    check_sweep,
    journal_of,
    look_jobs,
    submit,
    submit_look_job,
    submit_waiting,
)
from terminator.entry import typed
from terminator.errors import NO_RIGHTS, UserError
from terminator.ledger import AttemptRecord, End, Job, Ledger, Reason, Run, RunState, Sweep, alive_here

WAITING = "not submitted yet"
HELD = re.compile("held|JobHold", re.IGNORECASE)  # in the reason why a job is pending
JOBS_PER_CANCEL = 500
PATIENCE = 20.0  # seconds to wait for SLURM before showing what the ledger knows


class Slurm:
    """The jobs of sweeps, as terminator.sweeps.scheduler.Scheduler has it.

    SLURM is read once a refresh; while it is away, its last answer counts. `profile`: what each job asks for; None for
    that of the last submission.
    """

    def __init__(self, ledger: Ledger, sweeps: Sequence[Sweep], profile: ClusterProfile | None = None) -> None:
        self._ledger = ledger
        self._sweeps = sweeps
        self._profile = profile
        self._journals = [journal_of(ledger, sweep) for sweep in sweeps]
        self._read = False
        self._away = False
        self._run_jobs: dict[str, list[RunJob]] = {}  # by run key
        self._queue: dict[JobId, QueuedJob] | None = None  # None: SLURM has not answered yet
        self._waiting: set[str] = set()
        self._reported: set[str] = set()  # jobs that SLURM holds

    @staticmethod
    def has(ledger: Ledger, sweep: Sweep) -> bool:
        """Whether the sweep has been submitted."""
        return journal_of(ledger, sweep).folder.exists()

    def check(self) -> None:
        """Ask SLURM whether it would take the jobs. Submits and writes nothing. Raises UserError."""
        if self._profile is not None:
            check_root(self._ledger.root)
            for sweep in self._sweeps:
                check_sweep(sweep, self._profile)

    def start(self, runs: Sequence[Run]) -> bool:
        """Submit these. Returns False: the jobs go on without this process. Raises UserError where SLURM refuses."""
        for sweep, journal in zip(self._sweeps, self._journals, strict=True):
            plan = journal.plan()
            profile = self._profile or (plan.profile if plan else None)
            if profile is None:
                raise UserError(f"{sweep.id}: was never given to SLURM: run its command again")
            keys = set(sweep.keys())
            own = [run for run in runs if run.key in keys]
            print(submit(self._ledger, sweep, profile, own), flush=True)
            self._submit_look_job(sweep, own)
            back = shlex.join([*typed("sweeps").split(), "status", "--root", str(self._ledger.root), sweep.id])
            print(f"come back with: {back}  # or watch, retry, cancel", flush=True)
        return False

    def _submit_look_job(self, sweep: Sweep, runs: Sequence[Run]) -> None:
        if sweep.notify is not None or any(ablation.is_judged for ablation in sweep.ablations):
            submit_look_job(self._ledger, sweep, runs)

    def retry(self, runs: Sequence[Run]) -> bool:
        """Submit these again."""
        return self.start(runs)

    def cancel(self, runs: Sequence[Run]) -> int:
        """Cancel their jobs, which save checkpoints and end; forget what waits. Raises UserError if SLURM is away."""
        self._look()
        if self._away:
            raise UserError(f"{', '.join(sweep.id for sweep in self._sweeps)}: nothing was cancelled")
        waiting = self._waiting & {run.key for run in runs}
        problems = []
        for journal in self._journals:
            try:
                journal.stop_waiting()
            except OSError as error:  # what is in the queue can be cancelled all the same
                problems.append(error)
        self._look()
        jobs = {run.key: job for run in runs if (job := self.queued(run)) not in (None, WAITING)}
        _scancel([*(job.id for journal in self._journals for job in look_jobs(journal)), *jobs.values()])
        if problems:
            raise problems[0]
        return len(jobs.keys() | waiting)

    def refresh(self) -> None:
        """Read the queue, record what ended without a record, submit what waits for a place, and a missing look job.

        Whoever may not write into the sweeps' folders only reads.
        """
        self._look()
        if self._queue is None or self._away:
            return
        self._report_held()
        for run in self._ledger.runs_of(self._sweeps):
            try:
                self._record(run)
            except OSError as error:
                if error.errno not in NO_RIGHTS:
                    raise
        self._ledger.remove_left_behind(self._sweeps, self.alive)
        if not all(os.access(journal.folder, os.W_OK) for journal in self._journals):
            return
        self._stop_if_unseen()
        if self._waiting or any(array.job_id is None for journal in self._journals for array in journal.arrays()):
            for sweep in self._sweeps:
                try:
                    _report(submit_waiting(self._ledger, sweep))
                except UserError as error:
                    print(f"terminator: {error}", file=sys.stderr)
            self._look()
        for sweep, journal in zip(self._sweeps, self._journals, strict=True):
            plan = journal.plan()
            if plan is not None and plan.jobs and not any(each.makes_look for each in journal.current_arrays()):
                try:  # the submitter was killed before it could
                    self._submit_look_job(sweep, self._ledger.runs_of([sweep]))
                except UserError as error:
                    print(f"terminator: {error}", file=sys.stderr)

    def _report_held(self) -> None:
        """Name once the jobs that SLURM will not start by itself: held by somebody, or after a launch that failed."""
        own = {array.token for journal in self._journals for array in journal.arrays()}
        held: dict[str, list[str]] = {}
        for job in (self._queue or {}).values():
            if job.name in own and not job.ended and job.id not in self._reported and HELD.search(job.reason):
                held.setdefault(job.reason, []).append(job.id)
                self._reported.add(job.id)
        for reason, jobs in held.items():
            names = ",".join(sorted(jobs))
            print(f"terminator: SLURM holds {names} ({reason}); to let go: scontrol release {names}", file=sys.stderr)

    def busy(self) -> bool:
        """Whether a job waits or runs that makes a look, and submits the runs of the next."""
        try:
            return any(look_jobs(journal) for journal in self._journals)
        except SlurmAwayError:
            return True

    def alive(self, attempt: AttemptRecord) -> bool | None:
        """Whether the attempt's job runs; None while SLURM is away, or for a job of which these sweeps know nothing."""
        if attempt.job is None or attempt.job.scheduler != "slurm":
            return alive_here(attempt)
        queue, jobs = self._jobs(), self._jobs_of(attempt)
        if queue is None or not jobs:
            return None
        return any(found.running for job in jobs if (found := job.found(queue)) is not None)

    def queued(self, run: Run) -> str | None:
        """The job that will run it, or `WAITING` for one that waits for a place in the queue."""
        job = self._current_job(run)
        return job.id if job is not None else WAITING if run.key in self._waiting else None

    def seconds_left(self, run: Run) -> float | None:
        """Of the job's time limit."""
        job = self._current_job(run)
        return None if job is None else job.seconds_left

    def _current_job(self, run: Run) -> QueuedJob | None:
        """The run's job that has not ended."""
        queue = self._jobs() or {}
        found = (job.found(queue) for job in self._run_jobs.get(run.key, []))
        return next((job for job in found if job is not None and not job.ended), None)

    def _jobs_of(self, attempt: AttemptRecord) -> list[RunJob]:
        """The job that made the attempt; several where one of the same number ended without making any."""
        jobs = [job for job in self._run_jobs.get(attempt.key, []) if job.made(attempt)]
        return [job for job in jobs if job.before == max(each.before for each in jobs)]

    def _jobs(self) -> dict[JobId, QueuedJob] | None:
        if not self._read:
            self._look()
        return self._queue

    def _look(self) -> None:
        """Read the journals, then the queue: so every job that is known has been in the queue, and may have left it."""
        self._read = True
        found = [array for journal in journals(self._ledger.root) for array in journal.arrays() if array.job_id]
        mine = {run.key for run in self._ledger.runs_of(self._sweeps)}
        jobs = {key: jobs for key, jobs in run_jobs(found).items() if key in mine}
        waiting = {key for journal in self._journals for job in journal.waiting() for key in job.keys}
        self._waiting = {key for key in waiting if self._ledger.run(key).result() is None}
        created = {job.array.token: job.array.created for of_run in jobs.values() for job in of_run}
        since = min(created.values(), default=None)
        try:
            self._queue = read_queue(created, since, patience=min(PATIENCE, default_patience()))
            self._run_jobs = jobs
            self._away = False
        except SlurmAwayError as error:
            if not self._away:
                print(f"terminator: {error}; shown is what the ledger knows", file=sys.stderr)
            self._away = True

    def _record(self, run: Run) -> None:
        """Write into the ledger why the run's last job ended, where neither the run nor its job could."""
        assert self._queue is not None
        jobs = self._run_jobs.get(run.key, [])
        if not jobs or self._current_job(run) is not None or run.result() is not None or not run.frozen():
            return
        attempt = run.last_attempt()
        newest = attempt.number if attempt is not None else 0
        made_none = [job for job in jobs if job.before >= newest]  # submitted after the attempt, and has made none
        last = (made_none or (self._jobs_of(attempt) if attempt is not None else []))[-1:]
        if not last:
            return  # the attempt was made since by somebody else
        (array, identity), job = (last[0].array, last[0].number), last[0].found(self._queue)
        if job is not None and job.state == "COMPLETED":
            return
        state, reason = ending_of(identity, job, array)
        message = message_of(identity, job, array)
        if attempt is None or made_none:
            log = end_of_log(array.log(identity))
            made = run.begin(Job("slurm", identity, job.node if job else None))
            if log:
                (made.folder / "log.txt").write_text(log, "utf-8")
            run.close(made.number, state, reason, f"{message}: {words}" if (words := last_words(log)) else message)
        elif attempt.end is None:
            run.close(attempt.number, state, reason, message)
        elif job is not None and _tells_more(job, reason, attempt.end):
            run.explain(attempt.number, state, reason, message)

    def _stop_if_unseen(self) -> None:
        """Where a node does not see the output root, cancel what would fail in the same way."""
        for journal in self._journals:
            current = {array.token: array for array in journal.current_arrays()}
            jobs = [job for job in (self._queue or {}).values() if job.name in current]
            blind = next((job for job in jobs if cannot_see_root(job)), None)
            if blind is not None and (self._waiting or any(not job.ended for job in jobs)):
                message = message_of(blind.id, blind, current[blind.name])
                print(f"terminator: {message}; the rest is cancelled", file=sys.stderr)
                journal.stop_waiting()
                _scancel(job.id for job in jobs if not job.ended)


def _tells_more(job: QueuedJob, reason: Reason, end: End) -> bool:
    """Whether SLURM knows better why a job ended than what its attempt wrote down meanwhile."""
    if end.outcome is RunState.preempted or end.reason is Reason.cancelled:
        return job.state in ENDINGS and reason is not end.reason
    return end.reason is Reason.killed and reason is Reason.out_of_memory


def _scancel(jobs: Iterable[str]) -> None:
    identities = sorted(set(jobs))
    for start in range(0, len(identities), JOBS_PER_CANCEL):
        try:
            ask("scancel", *identities[start : start + JOBS_PER_CANCEL])
        except SlurmRefusedError as error:  # a job that has just ended, say
            print(f"terminator: {error}", file=sys.stderr)


def _report(submission: Submission) -> None:
    if submission.jobs or submission.problem:
        print(f"terminator: {submission}", file=sys.stderr)


CANNOT_OPEN = 53  # the "signal" of a job whose slurmd could not open the job's output
KILLED = 128 + 9
OVER_MEMORY = re.compile(
    r"slurmstepd.*: (?:error: )?(?:.*oom.kill event|Exceeded (?:job|step) memory limit)", re.IGNORECASE
)
END_OF_LOG = 65_536  # bytes
# What srun and slurmstepd add when a task has failed.
SAYS_NOTHING = re.compile(
    r"srun: (error: .*: tasks? .*: (Exited with exit code|Terminated|Killed)|Terminating |Job step aborted|launch/)"
    r"|slurmstepd: error: \*\*\*"
)


def ending_of(identity: str, job: QueuedJob | None, array: Array) -> tuple[RunState, Reason]:
    """How the run of a job stands that has ended. `job` is None for one that SLURM has forgotten."""
    log = array.log(identity)
    if job is None and not log.exists():  # without accounting SLURM forgets a task that is cancelled before its start
        return ENDINGS["CANCELLED"]
    if job is not None and job.state in ENDINGS:
        return ENDINGS[job.state]
    if job is not None and job.signal != 9 and job.exit_code != KILLED:
        return RunState.failed, Reason.exception
    return RunState.failed, Reason.out_of_memory if job is not None and _exceeded_memory(log) else Reason.killed


def cannot_see_root(job: QueuedJob) -> bool:
    """Whether the node did not find the output root."""
    return job.state == "FAILED" and (job.signal == CANNOT_OPEN or job.exit_code == UNSEEN)


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
    reason = f" ({job.reason})" if job.reason and not job.exit_code else ""
    return f"job {identity} on {job.node or 'no node'}: {job.state}{code}{reason}"


def _exceeded_memory(log: Path) -> bool:
    """Whether SLURM wrote into the job's log that it went over its memory: the state does not always say so."""
    return OVER_MEMORY.search(end_of_log(log)) is not None


def end_of_log(log: Path) -> str:
    """What a job printed last; nothing where it has no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - END_OF_LOG))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def last_words(log: str) -> str:
    """The last line that tells more than that the job has failed; empty where there is none."""
    lines = [line.strip() for line in log.splitlines()]
    return next((line for line in reversed(lines) if line and not SAYS_NOTHING.match(line)), "")
