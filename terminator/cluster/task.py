"""The process that a SLURM job consists of: `python -m terminator.cluster.task ARRAY_FOLDER`, started by srun.

It starts the job's runs as child processes, hands signals on to them, and decides whether the job goes back to the
queue. It imports neither torch nor Hydra, so that it heeds signals from its first moment on.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

from terminator.cluster.journal import Array, RunJob, read_array
from terminator.cluster.mps import mps
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import LiveJob, ask, live_job
from terminator.errors import UserError
from terminator.ledger import EXIT_CODES, EXIT_SUPERSEDED, AttemptRecord, Job, Ledger, Reason, Run, RunState
from terminator.text import counted
from terminator.tracking import sync_beside_job

EARLY = 35  # seconds by which SLURM may send the time limit's signal too soon: it looks every 30
PATIENCE = 20.0  # seconds to wait for SLURM's answer, of the 30 that most clusters leave between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Stop:
    """What the ledger is told, and whether the job has to ask for its own return to the queue."""

    state: RunState
    reason: Reason
    message: str
    requeue: bool = False


def why_stopped(profile: ClusterProfile, runs: Sequence[tuple[Run, RunJob]], signals: Sequence[signal.Signals]) -> Stop:
    """Tell a time limit, a preemption and a cancellation apart, by what SLURM says of the runs' job now."""
    try:
        live = live_job(runs[0][1].number, patience=PATIENCE)
    except UserError as error:
        return Stop(RunState.preempted, Reason.preempted, f"not requeued: {error}")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if live.restarts > restarts:
        return _within_limits(profile, runs, Reason.preempted, requeued=True)
    if live.state != "RUNNING" and (live.seconds_left or 0) > 0:
        return Stop(RunState.interrupted, Reason.cancelled, "cancelled in SLURM")
    if live.state != "RUNNING":
        return Stop(RunState.preempted, Reason.timeout, f"cut off by its time limit of {profile.timeout_min} min")
    return _within_limits(profile, runs, _cause(live, profile, signals), requeued=False)


def _cause(live: LiveJob, profile: ClusterProfile, signals: Sequence[signal.Signals]) -> Reason:
    """SLURM announces a time limit by SIGUSR2, shortly before it; whoever preempts may send either signal, any time."""
    near = live.seconds_left is not None and live.seconds_left <= profile.signal_delay() + EARLY
    return Reason.timeout if near and signal.SIGTERM not in signals else Reason.preempted


def _within_limits(
    profile: ClusterProfile, runs: Sequence[tuple[Run, RunJob]], cause: Reason, *, requeued: bool
) -> Stop:
    """Back to the queue, unless the job has been there too often for the same cause."""
    times = 1 + max((_times(run, job, cause) for run, job in runs), default=0)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))  # counts those that came before a run could begin, too
    if cause is Reason.timeout:
        limit, event, name = profile.max_timeouts, "reached its time limit", "max_timeouts"
    else:
        limit, event, name = profile.max_preemptions, "was preempted", "max_preemptions"
    if times <= limit and restarts <= profile.max_timeouts + profile.max_preemptions:
        message = f"{event} ({times} of {counted(limit, 'time')}): back in the queue"
        return Stop(RunState.preempted, cause, message, not requeued)
    # Where SLURM has requeued the job already, its next start finds the run failed, and ends at once.
    message = f"{event} {counted(times, 'time')}, {name}={limit}: retry continues from the checkpoint"
    return Stop(RunState.failed, cause, message)


def _times(run: Run, job: RunJob, cause: Reason) -> int:
    """How often the run has been stopped in this job for that cause; the current attempt is not counted."""
    before = [attempt for attempt in run.attempts()[:-1] if job.made(attempt)]
    reasons = [Reason.preempted if attempt.end is None else attempt.end.reason for attempt in before]
    return reasons.count(cause)


def back_to_queue(job: Job) -> None:
    """Ask SLURM to requeue this very job; it ends the job's processes then."""
    try:
        ask("scontrol", "requeue", job.id, patience=PATIENCE)
    except UserError as error:
        print(
            f"terminator: not requeued: {error}; `terminator sweeps retry` continues from the checkpoint",
            file=sys.stderr,
        )


FAILED, PREEMPTED = EXIT_CODES[RunState.failed], EXIT_CODES[RunState.preempted]
SECONDS_BETWEEN = 0.1
PR_SET_PDEATHSIG = 1  # of Linux's prctl


class Signals:
    """Notes SIGTERM and SIGUSR2 from its construction on."""

    def __init__(self) -> None:
        self.seen: list[signal.Signals] = []
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen.append(signal.Signals(number))


class Child:
    """One run of the job, in a process of its own; in a job of several tasks, this task's rank of it."""

    def __init__(self, run: Run, job: Job, place: int, sharing: Mapping[str, str]) -> None:
        command = [sys.executable, "-u", "-m", "terminator.job", str(run.folder)]
        self.run = run
        self.process = subprocess.Popen(
            [*command, "--attempt-job", json.dumps(asdict(job))],
            env={**os.environ, **_group(place), **_gpu(place, renumbered=bool(sharing)), **sharing},
            preexec_fn=_stop_with_parent,
        )

    def attempt(self) -> AttemptRecord | None:
        """The attempt that the process made; None where it ended before."""
        return next((attempt for attempt in self.run.attempts() if attempt.pid == self.process.pid), None)


def main() -> int:
    """Returns 0 if every run is done, else the exit code of the first that is not."""
    signals = Signals()
    folder = Path(sys.argv[1])
    array = read_array(folder)
    if array is None:
        print(f"terminator: {folder}/array.json is missing", file=sys.stderr)
        return FAILED
    array, index = replace(array, job_id=os.environ["SLURM_ARRAY_JOB_ID"]), int(os.environ["SLURM_ARRAY_TASK_ID"])
    job = Job("slurm", array.job(index), os.environ.get("SLURMD_NODENAME"))
    ledger = Ledger(folder.parents[3])
    runs = [(ledger.run(key), RunJob(array, index, before)) for key, before in array.runs(index)]
    failed = [run for run, of in runs if _failed_before(run, of)]
    todo = [(run, of) for run, of in runs if run not in failed and run.result() is None]
    leads = os.environ["SLURM_PROCID"] == "0"
    with _shared_gpus(len(todo)) as sharing:
        children = [] if signals.seen else [Child(run, job, place, sharing) for place, (run, _) in enumerate(todo)]
        follower = sync_beside_job(ledger, folder.parents[1].name, array.jobs[index]) if leads and children else None
        _wait(children, signals)
    if not leads:
        return 0  # the first task answers for all, and with it srun ends them all
    codes = [_ending(child, job, array) for child in children] if children else [PREEMPTED] * len(todo)
    if EXIT_SUPERSEDED in codes:
        return EXIT_SUPERSEDED
    if PREEMPTED not in codes:
        if follower is not None:
            print(follower.close(), flush=True)
        return next((code for code in codes if code), FAILED if failed else 0)
    stop = why_stopped(array.profile, todo, signals.seen)
    print(f"terminator: {stop.message}", flush=True)
    for child, code in zip(children, codes, strict=False):
        attempt = child.attempt()
        if code == PREEMPTED and attempt is not None and attempt.number == max(child.run.attempt_numbers()):
            try:
                child.run.explain(attempt.number, stop.state, stop.reason, stop.message)
            except OSError as error:  # the disk is full, say: the job goes back to the queue all the same
                print(f"terminator: {attempt.folder}: {error.strerror}", file=sys.stderr)
    if stop.requeue:
        back_to_queue(job)
    return PREEMPTED


def _stop_with_parent() -> None:
    """Have the kernel send SIGTERM to the child when this process is killed: it would train on outside of its job."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _group(place: int) -> dict[str, str]:
    """The variables by which the tasks that train one run together find each other. `place`: the run's in the job."""
    if os.environ["SLURM_NTASKS"] == "1":
        return {}
    ports = range(20000, 32000)  # below those that systems hand out by themselves
    job, restarts = int(os.environ["SLURM_JOB_ID"]), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    return {
        "RANK": os.environ["SLURM_PROCID"],
        "WORLD_SIZE": os.environ["SLURM_NTASKS"],
        "LOCAL_RANK": os.environ["SLURM_LOCALID"],
        "MASTER_ADDR": os.environ["SLURM_LAUNCH_NODE_IPADDR"],  # srun runs on the first node, as does the first task
        "MASTER_PORT": str(ports[(37 * job + 7 * restarts + place) % len(ports)]),
    }


def _gpu(place: int, *, renumbered: bool) -> dict[str, str]:
    """One of the job's GPUs for each process: tasks and runs take turns. `renumbered`: from 0, as MPS does it."""
    gpus = _gpus()
    if renumbered:
        gpus = list(map(str, range(len(gpus))))
    elif len(gpus) < 2:
        return {}
    return {"CUDA_VISIBLE_DEVICES": gpus[(int(os.environ["SLURM_LOCALID"]) + place) % len(gpus)]}


def _gpus() -> list[str]:
    return [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]


def _shared_gpus(runs: int) -> AbstractContextManager[dict[str, str]]:
    """MPS where several runs share a GPU, each of them a single process; as `mps` says."""
    gpus = _gpus()
    if not gpus or runs <= len(gpus) or os.environ["SLURM_NTASKS"] != "1":
        return nullcontext({})
    return mps(f"{runs} runs share {counted(len(gpus), 'GPU')}")


def _failed_before(run: Run, job: RunJob) -> bool:
    """Whether the run has failed in this job, before the job was requeued for the sake of another run."""
    attempt = run.last_attempt()
    if attempt is None or attempt.end is None:
        return False
    return job.made(attempt) and attempt.end.outcome is RunState.failed


def _wait(children: Sequence[Child], signals: Signals) -> None:
    """Until all have ended; signals are handed on."""
    handed = 0
    while living := [child for child in children if child.process.poll() is None]:
        for number in signals.seen[handed:]:
            handed += 1
            for child in living:
                child.process.send_signal(number)
        time.sleep(SECONDS_BETWEEN)


def _ending(child: Child, job: Job, array: Array) -> int:
    """How the child's run stands, as an exit code; an end that the run could not record is recorded for it."""
    run, code, attempt = child.run, child.process.returncode, child.attempt()
    if run.result() is not None:
        return 0
    if attempt is not None and attempt.end is not None:
        if attempt.end.outcome in (RunState.preempted, RunState.interrupted):
            return EXIT_CODES[attempt.end.outcome]
        return code if code > 0 else FAILED
    if code == EXIT_SUPERSEDED:
        return EXIT_SUPERSEDED
    preempted = code in (-signal.SIGTERM, -signal.SIGUSR2)  # before it could heed signals
    if code < 0:
        message = f"the process was killed by {signal.Signals(-code).name}"
    else:
        message = f"the process ended with {code}; see {array.log(job.id)}"
    if attempt is not None and preempted:
        run.close(attempt.number, RunState.preempted, Reason.preempted, message)
    elif attempt is not None:
        run.close(attempt.number, RunState.failed, Reason.killed if code < 0 else Reason.exception, message)
    elif not preempted and run.frozen():
        run.begin(job).fail(Reason.killed if code < 0 else Reason.exception, message)
    return PREEMPTED if preempted else 128 - code if code < 0 else code or FAILED


if __name__ == "__main__":
    sys.exit(main())
