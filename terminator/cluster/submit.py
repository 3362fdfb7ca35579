"""Handing runs to SLURM: as few arrays as its limits allow, and never the same run twice."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from filelock import FileLock, Timeout

from terminator.cluster.executor import ArrayExecutor, check, check_root
from terminator.cluster.journal import Array, JobPlan, Journal, PlannedJob, journals, run_jobs, under_way
from terminator.cluster.profile import ClusterProfile, profiles_of
from terminator.cluster.slurm import (
    LONGEST_PAUSE,
    QueuedJob,
    SlurmAwayError,
    SlurmRefusedError,
    default_patience,
    max_array_size,
    own_jobs_in_queue,
    read_queue,
)
from terminator.config import from_plain
from terminator.errors import UserError, storage_errors
from terminator.ledger import Ledger, Run, Sweep, alive_here, files, package_hash
from terminator.run_key import code_hash, source_files
from terminator.text import counted

PACKAGE = Path(__file__).resolve().parents[1]


def take_snapshot(folder: Path, code: str, runs: Iterable[Run] = ()) -> Path:
    """The folder under `folder` (ROOT/sweeps/<id>/code) with a copy of the package and of a user's own modules.

    They are as now, if the package has the hash `code` and the runs' code is what they were frozen with; else as in
    the newest copy that was made of `code`. Raises UserError where there is none.
    """
    one_of_each = {run.spec().code.hash: from_plain(run.spec().config) for run in runs}
    changed = [frozen for frozen, config in one_of_each.items() if code_hash(config) != frozen]
    if changed or package_hash(PACKAGE) != code:
        if copies := sorted(folder.glob(f"{code}-*"), key=lambda copy: copy.stat().st_mtime):
            return copies[-1]
        now = f"run code {changed[0]} has changed" if changed else f"now {package_hash(PACKAGE)}"
        raise UserError(
            f"code={code}: these runs were planned with other code ({now}) and no copy of it was "
            "kept: check that commit out, or run the sweep's command again"
        )
    modules = {name: path for config in one_of_each.values() for name, path in source_files(config).items()}
    own = {name: path for name, path in modules.items() if name.partition(".")[0] != PACKAGE.name}
    folder.mkdir(parents=True, exist_ok=True)
    draft = files.temporary_path(folder / "new")
    try:
        shutil.copytree(PACKAGE, draft / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        for name, path in own.items():
            place = draft.joinpath(*name.split("."))
            target = place / path.name if path.name == "__init__.py" else place.with_suffix(".py")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        if package_hash(draft / PACKAGE.name) != code:
            raise UserError(f"code={code}: the code was edited while the sweep was planned: run the command again")
        copy = folder / f"{code}-{_content(draft)}"
        try:
            draft.rename(copy)
        except OSError:
            if not copy.exists():  # as it does where the same code was copied before
                raise
    except shutil.Error as error:
        _, target, why = error.args[0][0]  # of the files that could not be copied the first
        raise UserError(f"{target}: the code cannot be copied there: {why}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copy


def _content(folder: Path) -> str:
    """A hash of every file's name and content."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]


log = logging.getLogger(__name__)

LOCK_PATIENCE = 120.0  # seconds
SECONDS_UNTIL_SEEN = 15.0  # by then a job that sbatch has handed over is in the queue, if it ever will be
NOT_SENT = "connect failure"  # sbatch did not reach the controller, so no job can have come of it


NOTHING = "nothing was submitted"


@dataclass(frozen=True)
class Submission:
    """What became of the runs: `runs` in `jobs` new jobs, `waiting` jobs for which the queue has no place yet.

    `queued`: runs that were under way already. `problem`: why SLURM stopped taking jobs, else empty.
    """

    runs: int = 0
    jobs: int = 0
    waiting: int = 0
    queued: int = 0
    problem: str = ""

    def __str__(self) -> str:
        parts = [f"{counted(self.runs, 'run')} queued in {counted(self.jobs, 'job')}" if self.jobs else NOTHING]
        if self.queued:
            parts.append(f"{self.queued} under way already")
        if self.waiting:
            wait, them = ("waits", "it") if self.waiting == 1 else ("wait", "them")
            where = f"{wait} for a place in the queue: `sweeps watch` or `status` submits {them}"
            parts.append(f"{counted(self.waiting, 'job')} {where}")
        return ", ".join(parts) + (f" ({self.problem})" if self.problem else "")


def check_sweep(sweep: Sweep, profile: ClusterProfile) -> None:
    """Ask SLURM whether it would take the sweep's jobs. Submits and writes nothing. Raises UserError."""
    checked: list[ClusterProfile] = []
    for each in [*profiles_of(sweep, profile).values(), profile.of_look_job()]:
        if each not in checked:
            check(each)
            checked.append(each)


def submit(ledger: Ledger, sweep: Sweep, profile: ClusterProfile, runs: Sequence[Run]) -> Submission:
    """Queue the runs, unless they are done or under way already, with the resources that their variants ask for.

    Returns as soon as SLURM has taken the jobs. What exceeds `profile.max_submit` waits: see `submit_waiting`.
    Raises UserError, with nothing submitted and nothing left behind, where SLURM refuses or stays away.
    """
    check_root(ledger.root)
    check_sweep(sweep, profile)
    journal = journal_of(ledger, sweep)
    with submission_lock(ledger.root):
        taken = in_queue(ledger.root)
        queued = {run.key for run in runs if run.key in taken or _runs_here(run)}
        todo = [run for run in runs if run.key not in queued and run.result() is None]
        if not todo:
            return Submission(queued=len(queued))
        code = take_snapshot(ledger.sweep_folder(sweep) / "code", sweep.code.hash, todo)
        profiles, jobs = _pack([run.key for run in todo], profiles_of(sweep, profile))
        before = journal.plan()
        try:
            with storage_errors(ledger.root):
                journal.write_plan(JobPlan(secrets.token_hex(4), time.time(), code.name, profile, profiles, jobs))
                return _submit_some(ledger, journal, taken, len(queued))
        except UserError:
            if not journal.current_arrays():
                journal.restore_plan(before)
            raise


def submit_waiting(ledger: Ledger, sweep: Sweep) -> Submission:
    """Submit what waits for a place, as far as there are places now, and settle what was cut short.

    Raises SlurmAwayError; and SlurmRefusedError where SLURM does not take the first of them.
    """
    with submission_lock(ledger.root):
        return _submit_some(ledger, journal_of(ledger, sweep), in_queue(ledger.root), 0)


@contextlib.contextmanager
def submission_lock(root: Path) -> Iterator[None]:
    """Wait until no other process under the root submits, on any login. The lock goes with its process.

    (flock, so the root's file system has to support it, as NFS does since version 4.) Raises UserError after two
    minutes, and for who may not write there.
    """
    path = root / "sweeps" / ".slurm-lock"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(files.lock_file(path), timeout=LOCK_PATIENCE, poll_interval=0.2))
        except Timeout:
            raise UserError(f"{path}: another process has been submitting for two minutes") from None
        except PermissionError as error:
            raise UserError(f"{path}: {error.strerror}: only those who may write there can submit") from None
        yield


def journal_of(ledger: Ledger, sweep: Sweep) -> Journal:
    """The sweep's journal, where it has been submitted; else an empty one."""
    return Journal(ledger.sweep_folder(sweep) / "slurm")


def in_queue(root: Path) -> dict[str, str]:
    """The runs that SLURM has under way, as key → job, whatever sweep they were submitted for.

    To be called under the lock: arrays that a killed process left undecided are settled. Raises SlurmAwayError.
    """
    found = list(journals(root))
    for journal in found:
        for array in journal.arrays():
            if array.job_id is None and not _settle(array):
                array.withdraw()
    return under_way(run_jobs(array for journal in found for array in journal.arrays()))


def _runs_here(run: Run) -> bool:
    """Whether a process of this machine is running it, outside of SLURM."""
    attempt = run.last_attempt()
    return attempt is not None and attempt.end is None and attempt.job is None and alive_here(attempt) is True


def _pack(
    keys: Sequence[str], wanted: dict[str, ClusterProfile]
) -> tuple[tuple[ClusterProfile, ...], tuple[PlannedJob, ...]]:
    """The distinct profiles, and the runs of each in jobs of `runs_per_gpu`."""
    profiles: list[ClusterProfile] = []
    for key in keys:
        if wanted[key] not in profiles:
            profiles.append(wanted[key])
    jobs = []
    for index, profile in enumerate(profiles):
        alike = [key for key in keys if wanted[key] == profile]
        for start in range(0, len(alike), profile.runs_per_gpu):
            jobs.append(PlannedJob(tuple(alike[start : start + profile.runs_per_gpu]), index))
    return tuple(profiles), tuple(jobs)


def _submit_some(ledger: Ledger, journal: Journal, taken: dict[str, str], queued: int) -> Submission:
    """Submit the plan's remaining jobs, array by array, while there are places."""
    plan = journal.plan()
    if plan is None:
        return Submission()
    waiting = [
        job
        for job in journal.waiting()
        if any(key not in taken and ledger.run(key).result() is None for key in job.keys)
    ]
    most = max_array_size()
    places = _places(plan)
    done: list[PlannedJob] = []
    problem = ""
    for _, group in groupby(waiting, key=lambda job: job.profile):
        rest = list(group)
        while rest and places > 0:
            some, rest = rest[: min(most, places)], rest[min(most, places) :]
            try:
                _submit_array(journal, plan, some)
            except (SlurmRefusedError, SlurmAwayError) as error:
                if not done:
                    raise
                problem, places = str(error), 0
            else:
                places -= len(some)
                done += some
    runs = sum(len(job.keys) for job in done)
    return Submission(runs, len(done), len(waiting) - len(done), queued, problem)


def _places(plan: JobPlan) -> int:
    """How many more jobs the user may have in the queue."""
    limits = [profile.max_submit for profile in plan.profiles if profile.max_submit is not None]
    return min(limits) - own_jobs_in_queue() if limits else len(plan.jobs)


def _submit_array(journal: Journal, plan: JobPlan, jobs: Sequence[PlannedJob]) -> None:
    """Submit one array, patiently, but never twice. Raises SlurmRefusedError and SlurmAwayError."""
    _submit_patiently(journal, plan, journal.new_array(plan, jobs))


def submit_look_job(ledger: Ledger, sweep: Sweep, runs: Sequence[Run]) -> None:
    """Submit the job that makes the next look when these runs' jobs have ended, unless one waits already.

    Raises SlurmRefusedError and SlurmAwayError.
    """
    journal = journal_of(ledger, sweep)
    with submission_lock(ledger.root):
        plan, taken = journal.plan(), in_queue(ledger.root)
        if plan is None or any(not job.running for job in look_jobs(journal)):
            return
        after = sorted({taken[run.key].split("_")[0] for run in runs if run.key in taken})
        _submit_patiently(journal, plan, journal.new_look_job(plan, after))


def look_jobs(journal: Journal) -> list[QueuedJob]:
    """The sweep's jobs in the queue that make a look. Raises SlurmAwayError."""
    tokens = [array.token for array in journal.arrays() if array.makes_look]
    return [job for job in read_queue(tokens).values() if not job.ended] if tokens else []


def _submit_patiently(journal: Journal, plan: JobPlan, array: Array) -> None:
    code = journal.folder.parent / "code" / plan.code
    pause, deadline = 1.0, time.monotonic() + default_patience()
    while True:
        try:
            array.submitted(ArrayExecutor(array, code).submit_all())
            return
        except SlurmRefusedError:
            array.withdraw()
            raise
        except SlurmAwayError as error:
            log.warning("%s; trying again", error)
            if NOT_SENT not in error.answer and _settle(array):
                return
            if time.monotonic() + pause > deadline:
                array.withdraw()
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _settle(array: Array) -> bool:
    """Whether SLURM has an array whose submission was cut short; if so, record its number.

    Raises SlurmAwayError, and leaves the array undecided, while nobody can tell.
    """
    time.sleep(max(0.0, min(SECONDS_UNTIL_SEEN, array.created + SECONDS_UNTIL_SEEN - time.time())))
    logs = (path.name.split("_")[0] for path in array.folder.glob("*_log.out"))
    jobs = (job.number.split("_")[0] for job in read_queue([array.token], since=array.created))
    job_id = next(logs, None) or next(jobs, None)
    if job_id is None:
        return False
    array.submitted(job_id)
    return True
