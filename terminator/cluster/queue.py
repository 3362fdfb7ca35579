"""What SLURM knows about jobs: squeue for those it still remembers, sacct for older ones where there is accounting."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terminator.cluster.commands import SlurmRefusedError, ask

ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
SQUEUE_COLUMNS = ("JobArrayID", "Name", "State", "Reason", "NodeList", "TimeLeft", "exit_code")
SACCT_COLUMNS = ("JobID", "JobName", "State", "Reason", "NodeList", "ExitCode")
CREATION_SLACK = 3600  # seconds by which this machine's clock and the accounting's may differ
NAMES_PER_QUESTION = 200


@dataclass(frozen=True)
class QueuedJob:
    """One job, or task of an array, as SLURM sees it. `id` as in 123_4; `seconds_left` of its time limit."""

    id: str
    name: str
    state: str
    reason: str = ""
    node: str | None = None
    seconds_left: int | None = None
    exit_code: int = 0
    signal: int = 0

    @property
    def ended(self) -> bool:
        """Whether the job is over and will not start again."""
        return self.state in ENDED

    @property
    def running(self) -> bool:
        """Whether its processes may be alive."""
        return not self.ended and self.state not in ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT")


def read_queue(
    names: Iterable[str], since: float | None = None, *, patience: float | None = None
) -> dict[str, QueuedJob]:
    """The jobs of these names, by id. `since`: ask the accounting too, for jobs submitted after that time.

    Raises SlurmAwayError if the controller does not answer for `patience` seconds.
    """
    names = sorted(set(names))
    found: dict[str, QueuedJob] = {}
    for start in range(0, len(names), NAMES_PER_QUESTION):
        some = names[start : start + NAMES_PER_QUESTION]
        if since is not None:
            found.update(_accounting(some, since))
        found.update(_squeue(some, patience))
    return found


@dataclass(frozen=True)
class LiveJob:
    """A job that is under way: its state, the seconds left of its time limit, and how often SLURM has restarted it."""

    state: str
    seconds_left: int | None
    restarts: int


def live_job(identity: str, patience: float) -> LiveJob:
    """One job, as SLURM sees it now. Raises SlurmAwayError, and SlurmRefusedError where there is no such job."""
    answer = ask(
        "squeue", "--noheader", f"--jobs={identity}", "--Format=State:|,TimeLeft:|,RestartCnt:|", patience=patience
    )
    if not answer.strip():
        raise SlurmRefusedError("squeue", f"job {identity} is not in the queue")
    state, left, restarts = (cell.strip() for cell in answer.splitlines()[0].split("|")[:3])
    return LiveJob(state, seconds(left), int(restarts))


def own_jobs_in_queue() -> int:
    """How many jobs, array tasks counted one by one, you have in the queue. Raises SlurmAwayError."""
    return len(ask("squeue", "--noheader", "--array", "--me", "--format=%i").splitlines())


def max_array_size() -> int:
    """The most tasks that one array may have. Raises SlurmAwayError."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.MULTILINE)
    return int(found.group(1)) if found else 1001


def _squeue(names: Sequence[str], patience: float | None) -> dict[str, QueuedJob]:
    columns = ",".join(f"{column}:|" for column in SQUEUE_COLUMNS)  # a width of | makes it the end of an open column
    options = ("--noheader", "--array", "--states=all", f"--name={','.join(names)}", f"--Format={columns}")
    jobs = {}
    for line in ask("squeue", *options, patience=patience).splitlines():
        identity, name, state, reason, node, left, code = (cell.strip() for cell in line.split("|")[:7])
        status = int(code)
        jobs[identity] = QueuedJob(
            id=identity,
            name=name,
            state=state,
            reason="" if reason == "None" else reason,
            node=node or None,
            seconds_left=seconds(left),
            exit_code=status >> 8,
            signal=status & 0x7F,
        )
    return jobs


def _accounting(names: Sequence[str], since: float) -> dict[str, QueuedJob]:
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since - CREATION_SLACK))
    options = ("--noheader", "--parsable2", "--allocations", f"--name={','.join(names)}", f"--starttime={start}")
    try:
        answer = ask("sacct", *options, f"--format={','.join(SACCT_COLUMNS)}", patience=0.0)
    except SlurmRefusedError:  # a cluster without accounting
        return {}
    jobs = {}
    for line in answer.splitlines():
        identity, name, state, reason, node, code = line.split("|")
        exit_code, _, signal = code.partition(":")
        jobs[identity] = QueuedJob(
            id=identity,
            name=name,
            state=state.split()[0],  # "CANCELLED by 1000"
            reason="" if reason == "None" else reason,
            node=None if node == "None assigned" else node,
            exit_code=int(exit_code),
            signal=int(signal or 0),
        )
    return jobs


def seconds(text: str) -> int | None:
    """SLURM's [days-][hours:]minutes:seconds as seconds; None for a word such as UNLIMITED or N/A."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
