"""Why a job left no result, in the ledger's words, from what SLURM says of it."""

from __future__ import annotations

import re
from pathlib import Path

from terminator.cluster.executor import UNSEEN
from terminator.cluster.journal import Array
from terminator.cluster.queue import QueuedJob
from terminator.ledger import Outcome, Reason

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


def outcome_of(reason: Reason) -> Outcome:
    """How the attempt counts that ended so: what the user stopped has not failed."""
    return Outcome.interrupted if reason is Reason.cancelled else Outcome.failed


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
