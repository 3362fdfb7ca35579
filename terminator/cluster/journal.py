"""What was handed to SLURM for a sweep: files beside sweep.json, written before sbatch is called and after.

    ROOT/sweeps/<sweep id>/slurm/plan.json              every job of the last submission, in order
    ROOT/sweeps/<sweep id>/slurm/<token>/array.json     one array; its token is the name of its SLURM jobs
    ROOT/sweeps/<sweep id>/slurm/<token>/*_log.out      what its jobs printed outside of their runs

What is in the plan and in no array of that plan still waits. So a process may die anywhere: the next one goes on.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import JobId, QueuedJob, read_queue
from terminator.ledger import AttemptRecord, Run, files

TASK, LOOK = "terminator.cluster.task", "terminator.looks"  # what a job runs: its runs, or the look that they make


@dataclass(frozen=True)
class PlannedJob:
    """The runs that share one job, by key, and the index of its profile."""

    keys: tuple[str, ...]
    profile: int


@dataclass(frozen=True)
class JobPlan:
    """One submission. `id` names it; `code`: the folder of the code that its jobs run.

    `profile`: the one that was asked for; `profiles`: with the resources of the variants.
    """

    id: str
    created: float
    code: str
    profile: ClusterProfile
    profiles: tuple[ClusterProfile, ...]
    jobs: tuple[PlannedJob, ...]

    @staticmethod
    def parse(plain: dict[str, Any]) -> JobPlan:
        """From the file's JSON."""
        return JobPlan(
            id=plain["id"],
            created=float(plain["created"]),
            code=plain["code"],
            profile=ClusterProfile(**plain["profile"]),
            profiles=tuple(ClusterProfile(**each) for each in plain["profiles"]),
            jobs=tuple(PlannedJob(tuple(each["keys"]), each["profile"]) for each in plain["jobs"]),
        )


@dataclass(frozen=True)
class Array:
    """One array of jobs. `job_id`: SLURM's number for it; None until sbatch has answered.

    `entry`: the module that its jobs run. `after`: arrays, by SLURM's numbers, that must have ended before it starts.
    `begun`: the newest attempt at each run of each job when the array was recorded, 0 for none; empty in older ledgers.
    SLURM counts from 1 again when it is installed anew, and clocks are set back, so neither numbers nor times tell
    which attempts are the array's: the attempts after these are.
    """

    folder: Path
    plan: str
    created: float
    code: str
    profile: ClusterProfile
    jobs: tuple[tuple[str, ...], ...]
    job_id: str | None = None
    entry: str = TASK
    after: tuple[str, ...] = ()
    begun: tuple[tuple[int, ...], ...] = ()

    @property
    def makes_look(self) -> bool:
        """Whether it makes a look when runs have ended, and has none itself."""
        return self.entry == LOOK

    @property
    def token(self) -> str:
        """The name of the array's jobs in the queue, unlike any other's."""
        return self.folder.name

    def job(self, index: int) -> str:
        """SLURM's name for one of the jobs, such as 123_4."""
        return f"{self.job_id}_{index}"

    def runs(self, index: int) -> list[tuple[str, int]]:
        """The runs of one of the jobs, by key, each with its newest attempt when the array was recorded."""
        keys = self.jobs[index]
        return list(zip(keys, self.begun[index] if self.begun else (0,) * len(keys), strict=True))

    def log(self, identity: str) -> Path:
        """What that job prints outside of its runs; made by SLURM when the job starts."""
        return self.folder / f"{identity}_0_log.out"

    def submitted(self, job_id: str) -> Array:
        """Record SLURM's number. Returns the array with it."""
        array = replace(self, job_id=job_id)
        array.write()
        return array

    def write(self) -> None:
        """Write array.json, over what was there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        plain = {key: value for key, value in asdict(self).items() if key != "folder"}
        files.write(self.folder / "array.json", files.dumps({"schema": files.SCHEMA, **plain}))

    def withdraw(self) -> None:
        """Forget an array that SLURM does not have."""
        shutil.rmtree(self.folder)


@dataclass(frozen=True)
class RunJob:
    """The job of an array, by its index, that one run was submitted in; `before`: the run's newest attempt then."""

    array: Array
    index: int
    before: int

    @property
    def number(self) -> str:
        """SLURM's name for it, such as 123_4."""
        return self.array.job(self.index)

    def found(self, queue: Mapping[JobId, QueuedJob]) -> QueuedJob | None:
        """The job in what SLURM knows; None for one that it has forgotten."""
        return queue.get(JobId(self.array.token, self.number))

    def made(self, attempt: AttemptRecord) -> bool:
        """Whether the attempt may be this job's; of several such jobs of a run, the one with the last `before` is."""
        job = attempt.job
        return job is not None and job.id == self.number and attempt.number > self.before


class Journal:
    """The submissions of one sweep. `folder`: ROOT/sweeps/<sweep id>/slurm, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self) -> JobPlan | None:
        """The last submission; None where there was none."""
        return files.read(self.folder / "plan.json", JobPlan.parse)

    def write_plan(self, plan: JobPlan) -> None:
        """Replace the plan: what waited in the old one is forgotten."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write(self.folder / "plan.json", files.dumps({"schema": files.SCHEMA, **asdict(plan)}))

    def restore_plan(self, before: JobPlan | None) -> None:
        """Back to the plan before one of which SLURM took nothing."""
        if before is not None:
            self.write_plan(before)
            return
        (self.folder / "plan.json").unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def stop_waiting(self) -> None:
        """Forget the jobs of the plan that wait for a place; its profile stays, for a retry."""
        plan = self.plan()
        if plan is not None:
            self.write_plan(replace(plan, jobs=()))

    def new_array(self, plan: JobPlan, jobs: Sequence[PlannedJob]) -> Array:
        """Record that these jobs of the plan, all of one profile, are about to be submitted."""
        profile = plan.profiles[jobs[0].profile]
        return self._new(plan, profile, tuple(job.keys for job in jobs))

    def new_look_job(self, plan: JobPlan, after: Sequence[str]) -> Array:
        """Record that the job is about to be submitted that makes a look when the arrays `after` have ended."""
        return self._new(plan, plan.profile.of_look_job(), ((),), LOOK, tuple(after))

    def _new(
        self,
        plan: JobPlan,
        profile: ClusterProfile,
        jobs: tuple[tuple[str, ...], ...],
        entry: str = TASK,
        after: tuple[str, ...] = (),
    ) -> Array:
        token = f"{self.folder.parent.name}.{secrets.token_hex(4)}"
        folder = self.folder / token
        runs = self.folder.parents[2] / "runs"
        begun = tuple(tuple(max(Run(runs / key).attempt_numbers(), default=0) for key in keys) for keys in jobs)
        array = Array(folder, plan.id, time.time(), plan.code, profile, jobs, entry=entry, after=after, begun=begun)
        try:
            array.write()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return array

    def arrays(self) -> list[Array]:
        """All arrays, oldest first as far as the clock was right."""
        read = (read_array(folder) for folder in self.folder.glob("*.*/"))
        return sorted((array for array in read if array is not None), key=lambda array: array.created)

    def current_arrays(self) -> list[Array]:
        """Those of the last submission."""
        plan = self.plan()
        return [] if plan is None else [array for array in self.arrays() if array.plan == plan.id]

    def waiting(self) -> list[PlannedJob]:
        """The jobs of the plan that are in no array of it."""
        plan = self.plan()
        given = {job for array in self.current_arrays() for job in array.jobs}
        return [] if plan is None else [job for job in plan.jobs if job.keys not in given]


def run_jobs(arrays: Iterable[Array]) -> dict[str, list[RunJob]]:
    """The jobs that each run, by its key, was submitted in."""
    jobs: dict[str, list[RunJob]] = {}
    for array in arrays:
        for index in range(len(array.jobs)):
            for key, before in array.runs(index):
                jobs.setdefault(key, []).append(RunJob(array, index, before))
    return jobs


def under_way(jobs: Mapping[str, Sequence[RunJob]], patience: float | None = None) -> dict[str, str]:
    """Those runs that SLURM has in its queue, as key → job. `patience` as for `read_queue`. Raises UserError."""
    queue = read_queue((job.array.token for of_run in jobs.values() for job in of_run), patience=patience)
    return {
        key: job.number
        for key, of_run in jobs.items()
        for job in of_run
        if (seen := job.found(queue)) is not None and not seen.ended
    }


def read_array(folder: Path) -> Array | None:
    """The array in that folder; None where array.json is missing or damaged."""

    def parse(plain: dict[str, Any]) -> Array:
        return Array(
            folder=folder,
            plan=plain["plan"],
            created=float(plain["created"]),
            code=plain["code"],
            profile=ClusterProfile(**plain["profile"]),
            jobs=tuple(tuple(keys) for keys in plain["jobs"]),
            job_id=plain["job_id"],
            entry=plain.get("entry", TASK),
            after=tuple(plain.get("after", ())),
            begun=tuple(tuple(each) for each in plain.get("begun", ())),
        )

    return files.read(folder / "array.json", parse)


def journals(root: Path) -> Iterator[Journal]:
    """Every sweep's journal under an output root: two sweeps may share a run."""
    return (Journal(folder) for folder in sorted((root / "sweeps").glob("*/slurm/")))
