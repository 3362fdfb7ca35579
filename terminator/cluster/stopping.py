"""Why a job's runs had to stop, and whether the job goes back to the queue."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from terminator.cluster.commands import ask
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.queue import LiveJob, live_job
from terminator.counting import counted
from terminator.errors import UserError
from terminator.ledger import Job, Outcome, Reason, Run

EARLY = 35  # seconds by which SLURM may send the time limit's signal too soon: it looks every 30
PATIENCE = 20.0  # seconds to wait for SLURM's answer, of the 30 that most clusters leave between SIGTERM and SIGKILL


@dataclass(frozen=True)
class Stop:
    """What the ledger is told, and whether the job has to ask for its own return to the queue."""

    outcome: Outcome
    reason: Reason
    message: str
    requeue: bool = False


def why_stopped(job: Job, profile: ClusterProfile, runs: Sequence[Run], signals: Sequence[signal.Signals]) -> Stop:
    """Tell a time limit, a preemption and a cancellation apart, by what SLURM says of the job now."""
    try:
        live = live_job(job.id, patience=PATIENCE)
    except UserError as error:
        return Stop(Outcome.preempted, Reason.preempted, f"not requeued: {error}")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if live.restarts > restarts:
        return _within_limits(job, profile, runs, Reason.preempted, requeued=True)
    if live.state != "RUNNING" and (live.seconds_left or 0) > 0:
        return Stop(Outcome.interrupted, Reason.cancelled, "cancelled in SLURM")
    if live.state != "RUNNING":
        return Stop(Outcome.preempted, Reason.timeout, f"cut off by its time limit of {profile.timeout_min} min")
    return _within_limits(job, profile, runs, _cause(live, profile, signals), requeued=False)


def _cause(live: LiveJob, profile: ClusterProfile, signals: Sequence[signal.Signals]) -> Reason:
    """SLURM announces a time limit by SIGUSR2, shortly before it; whoever preempts may send either signal, any time."""
    near = live.seconds_left is not None and live.seconds_left <= profile.signal_delay() + EARLY
    return Reason.timeout if near and signal.SIGTERM not in signals else Reason.preempted


def _within_limits(job: Job, profile: ClusterProfile, runs: Sequence[Run], cause: Reason, *, requeued: bool) -> Stop:
    """Back to the queue, unless the job has been there too often for the same cause."""
    times = 1 + max((_times(run, job, cause) for run in runs), default=0)
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))  # counts those that came before a run could begin, too
    if cause is Reason.timeout:
        limit, words, name = profile.max_timeouts, "reached its time limit", "max_timeouts"
    else:
        limit, words, name = profile.max_preemptions, "was preempted", "max_preemptions"
    if times <= limit and restarts <= profile.max_timeouts + profile.max_preemptions:
        return Stop(
            Outcome.preempted, cause, f"{words} ({times} of {counted(limit, 'time')}): back in the queue", not requeued
        )
    # Where SLURM has requeued the job already, its next start finds the run failed, and ends at once.
    return Stop(
        Outcome.failed, cause, f"{words} {counted(times, 'time')}, {name}={limit}: retry goes on from the checkpoint"
    )


def _times(run: Run, job: Job, cause: Reason) -> int:
    """How often the run has been stopped in this job for that cause; the current attempt is not counted."""
    before = [attempt for attempt in run.attempts()[:-1] if attempt.job is not None and attempt.job.id == job.id]
    reasons = [Reason.preempted if attempt.end is None else attempt.end.reason for attempt in before]
    return reasons.count(cause)


def back_to_queue(job: Job) -> None:
    """Ask SLURM to requeue this very job; it ends the job's processes then."""
    try:
        ask("scontrol", "requeue", job.id, patience=PATIENCE)
    except UserError as error:
        print(
            f"terminator: not requeued: {error}; `terminator sweeps retry` goes on from the checkpoint", file=sys.stderr
        )
