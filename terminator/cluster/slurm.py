"""SLURM's own commands and states: what they answer, what they refuse, and patience while the controller is away."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from terminator.errors import UserError
from terminator.ledger import Reason, RunState

log = logging.getLogger(__name__)

# What the commands print when the controller, or the accounting's database, is not there.
AWAY = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Connection refused|Connection timed out|Zero Bytes were"
    r"|Transport endpoint|Unexpected message received|Slurm backup controller in standby|Protocol authentication error"
)
# What they print where no controller is configured, nor to be found in the network: asking again is of no use.
UNREACHABLE = re.compile(r"resolve_ctls_from_dns_srv|Could not establish a configuration source|failed to fetch config")
PATIENCE = 60.0  # seconds; each command already tries for about nine by itself
LONGEST_PAUSE = 16.0
# A controller that has just been started knows no node's GPUs until the node has reported.
UNSETTLED = "Requested node configuration is not available"
SETTLING = 8.0  # seconds


class SlurmRefusedError(UserError):
    """SLURM answered, and refused. `answer`: what the command printed."""

    def __init__(self, command: str, answer: str) -> None:
        super().__init__(f"{command}: {answer}")
        self.answer = answer


class SlurmAwayError(UserError):
    """The controller did not answer, or (`nowhere`) there is none. `answer`: what the command printed."""

    def __init__(self, command: str, answer: str) -> None:
        self.nowhere = UNREACHABLE.search(answer) is not None
        what = "no SLURM controller can be reached from here" if self.nowhere else "SLURM does not answer"
        super().__init__(f"{what} ({command}: {answer})")
        self.answer = answer


def require(command: str) -> None:
    """Raise UserError unless this machine has the command."""
    if shutil.which(command) is None:
        raise UserError(f"no {command} on this machine: submit from a log-in node of the cluster")


def ask(*command: str, patience: float | None = None) -> str:
    """A command's output. While SLURM is away it is asked again, ever more slowly, for `patience` seconds.

    Only for commands that may be repeated. Raises SlurmAwayError and SlurmRefusedError.
    """
    patience = default_patience() if patience is None else patience
    pause, until, settled = 1.0, time.monotonic() + patience, None
    while True:
        try:
            return ask_once(*command)
        except SlurmAwayError as error:
            if error.nowhere:
                raise
            problem: UserError = error
        except SlurmRefusedError as error:
            if UNSETTLED not in error.answer:
                raise
            settled = settled or time.monotonic() + min(patience, SETTLING)
            problem = error
        if time.monotonic() + pause > (settled or until):
            raise problem
        log.warning("%s; asking again", problem)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def ask_once(*command: str) -> str:
    """A command's output. Raises SlurmAwayError and SlurmRefusedError."""
    require(command[0])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    raise failure(command[0], done.stderr or done.stdout)


def failure(command: str, stderr: str) -> SlurmAwayError | SlurmRefusedError:
    """The exception for what a command wrote before it failed."""
    lines = [re.sub(rf"^{command}: (error: )?", "", line.strip()) for line in stderr.splitlines() if line.strip()]
    answer = "; ".join(dict.fromkeys(lines)) or "failed without a message"
    is_away = AWAY.search(answer) or UNREACHABLE.search(answer)
    return (SlurmAwayError if is_away else SlurmRefusedError)(command, answer)


def default_patience() -> float:
    """Seconds to wait for SLURM's controller: TERMINATOR_SLURM_PATIENCE, else 60."""
    return float(os.environ.get("TERMINATOR_SLURM_PATIENCE", PATIENCE))


# What the run of a job is that ended in this state, and why: what a user stopped has not failed.
ENDINGS = {
    "BOOT_FAIL": (RunState.failed, Reason.node_lost),
    "CANCELLED": (RunState.interrupted, Reason.cancelled),
    "DEADLINE": (RunState.failed, Reason.timeout),
    "NODE_FAIL": (RunState.failed, Reason.node_lost),
    "OUT_OF_MEMORY": (RunState.failed, Reason.out_of_memory),
    "PREEMPTED": (RunState.failed, Reason.preempted),
    "REVOKED": (RunState.interrupted, Reason.cancelled),
    "TIMEOUT": (RunState.failed, Reason.timeout),
}
ENDED = frozenset({*ENDINGS, "COMPLETED", "FAILED"})
SQUEUE_COLUMNS = ("JobArrayID", "Name", "State", "Reason", "NodeList", "TimeLeft", "exit_code")
SACCT_COLUMNS = ("JobID", "JobName", "State", "Reason", "NodeList", "ExitCode")
CREATION_SLACK = 3600  # seconds by which this machine's clock and the accounting's may differ
NAMES_PER_QUESTION = 200


class JobId(NamedTuple):
    """A job, by its array's name too: SLURM gives its numbers, such as 123_4, again when it is installed anew."""

    name: str
    number: str


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
) -> dict[JobId, QueuedJob]:
    """The jobs of these names. `since`: ask the accounting too, for jobs submitted after that time.

    Raises SlurmAwayError if the controller does not answer for `patience` seconds.
    """
    names = sorted(set(names))
    found: dict[JobId, QueuedJob] = {}
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


def _squeue(names: Sequence[str], patience: float | None) -> dict[JobId, QueuedJob]:
    columns = ",".join(f"{column}:|" for column in SQUEUE_COLUMNS)  # a width of | makes it the end of an open column
    options = ("--noheader", "--array", "--states=all", f"--name={','.join(names)}", f"--Format={columns}")
    jobs = {}
    for line in ask("squeue", *options, patience=patience).splitlines():
        identity, name, state, reason, node, left, code = (cell.strip() for cell in line.split("|")[:7])
        status = int(code)
        jobs[JobId(name, identity)] = QueuedJob(
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


def _accounting(names: Sequence[str], since: float) -> dict[JobId, QueuedJob]:
    since = min(since, time.time()) - CREATION_SLACK  # the clock may have been set back
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since))
    options = ("--noheader", "--parsable2", "--allocations", f"--name={','.join(names)}", f"--starttime={start}")
    try:
        answer = ask("sacct", *options, f"--format={','.join(SACCT_COLUMNS)}", patience=0.0)
    except SlurmRefusedError:  # a cluster without accounting
        return {}
    jobs = {}
    for line in answer.splitlines():
        identity, name, state, reason, node, code = line.split("|")
        exit_code, _, signal = code.partition(":")
        jobs[JobId(name, identity)] = QueuedJob(
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
    """SLURM's [days-][hours:]minutes:seconds as seconds; None for UNLIMITED, N/A and the like."""
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
