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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from terminator.cluster.journal import Array, read_array
from terminator.cluster.stopping import back_to_queue, why_stopped
from terminator.ledger import AttemptRecord, Job, Ledger, Outcome, Reason, Run
from terminator.tracking import sync_beside_job

FAILED, PREEMPTED, SUPERSEDED, INTERRUPTED = 1, 75, 76, 130  # as terminator.job exits
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
    """One run of the job, in a process of its own; in a job of several tasks, this task's share of it."""

    def __init__(self, run: Run, job: Job, place: int) -> None:
        command = [sys.executable, "-u", "-m", "terminator.job", str(run.folder)]
        self.run = run
        self.process = subprocess.Popen(
            [*command, "--attempt-job", json.dumps(asdict(job))],
            env={**os.environ, **_group(place), **_gpu(place)},
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
    index = os.environ["SLURM_ARRAY_TASK_ID"]
    job = Job("slurm", f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}", os.environ.get("SLURMD_NODENAME"))
    ledger = Ledger(folder.parents[3])
    runs = [ledger.run(key) for key in array.jobs[int(index)]]
    failed = [run for run in runs if _failed_before(run, job)]
    todo = [run for run in runs if run not in failed and run.result() is None]
    children = [] if signals.seen else [Child(run, job, place) for place, run in enumerate(todo)]
    speaks = os.environ["SLURM_PROCID"] == "0"
    follower = sync_beside_job(ledger, folder.parents[1].name, array.jobs[int(index)]) if speaks and children else None
    _wait(children, signals)
    if not speaks:
        return 0  # the first task speaks for all, and with it srun ends them all
    codes = [_ending(child, job, array) for child in children] if children else [PREEMPTED] * len(todo)
    if SUPERSEDED in codes:
        return SUPERSEDED
    if PREEMPTED not in codes:
        if follower is not None:
            print(follower.close(), flush=True)
        return next((code for code in codes if code), FAILED if failed else 0)
    stop = why_stopped(job, array.profile, todo, signals.seen)
    print(f"terminator: {stop.message}", flush=True)
    for child, code in zip(children, codes, strict=False):
        attempt = child.attempt()
        if code == PREEMPTED and attempt is not None and attempt.number == max(child.run.attempt_numbers()):
            child.run.explain(attempt.number, stop.outcome, stop.reason, stop.message)
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


def _gpu(place: int) -> dict[str, str]:
    """One of the job's GPUs for each process: tasks and runs take turns."""
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return {"CUDA_VISIBLE_DEVICES": gpus[(int(os.environ["SLURM_LOCALID"]) + place) % len(gpus)]} if gpus[1:] else {}


def _failed_before(run: Run, job: Job) -> bool:
    """Whether the run has failed in this job, before the job was requeued for the sake of another run."""
    last = run.attempts()[-1:]
    return any(each.job is not None and each.job.id == job.id and _has_failed(each) for each in last)


def _has_failed(attempt: AttemptRecord) -> bool:
    return attempt.end is not None and attempt.end.outcome is Outcome.failed


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
    """How the child's run stands, as an exit code; what ended without a word is recorded in its stead."""
    run, code, attempt = child.run, child.process.returncode, child.attempt()
    if run.result() is not None:
        return 0
    if attempt is not None and attempt.end is not None:
        said = {Outcome.preempted: PREEMPTED, Outcome.interrupted: INTERRUPTED}.get(attempt.end.outcome)
        return said or (code if code > 0 else FAILED)
    if code == SUPERSEDED:
        return SUPERSEDED
    preempted = code in (-signal.SIGTERM, -signal.SIGUSR2)  # so early that nobody listened yet
    if code < 0:
        message = f"the process was killed by {signal.Signals(-code).name}"
    else:
        message = f"the process ended with {code}; see {array.log(job.id)}"
    if attempt is not None and preempted:
        run.close(attempt.number, Outcome.preempted, Reason.preempted, message)
    elif attempt is not None:
        run.close(attempt.number, Outcome.failed, Reason.killed if code < 0 else Reason.exception, message)
    elif not preempted and run.frozen():
        run.begin(job).fail(Reason.killed if code < 0 else Reason.exception, message)
    return PREEMPTED if preempted else 128 - code if code < 0 else code or FAILED


if __name__ == "__main__":
    sys.exit(main())
