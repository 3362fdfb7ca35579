"""What the ledger's files say, typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple


class RunState(Enum):
    """Where a run stands. An attempt ends as one of the last four."""

    pending = "pending"
    running = "running"
    done = "done"
    failed = "failed"
    preempted = "preempted"
    interrupted = "interrupted"


class Reason(Enum):
    """Why a run has no result."""

    exception = "exception"
    out_of_memory = "out_of_memory"
    timeout = "timeout"
    preempted = "preempted"
    node_lost = "node_lost"
    cancelled = "cancelled"
    diverged = "diverged"
    killed = "killed"
    storage = "storage"  # the disk was full or gone
    interrupted = "interrupted"


# What a process that makes an attempt exits with.
EXIT_CODES = {RunState.done: 0, RunState.failed: 1, RunState.preempted: 75, RunState.interrupted: 130}
EXIT_DIVERGED = 3
EXIT_SUPERSEDED = 76


@dataclass(frozen=True)
class Code:
    """The code that a run was frozen with. `commit` is None outside a git checkout."""

    hash: str
    commit: str | None
    dirty: bool


@dataclass(frozen=True)
class Spec:
    """spec.json: a run, frozen. `created` in seconds since 1970, like every time in the ledger.

    `code.hash`: of the code that this run depends on; `data_fingerprint`: of its images, None in older ledgers.
    """

    key: str
    config: dict[str, Any]
    code: Code
    environment: dict[str, Any]
    created: float
    data_fingerprint: str | None = None

    @staticmethod
    def parse(plain: dict[str, Any]) -> Spec:
        """From the file's JSON."""
        return Spec(
            key=plain["key"],
            config=dict(plain["config"]),
            code=Code(**plain["code"]),
            environment=plain["environment"],
            created=plain["created"],
            data_fingerprint=plain.get("data_fingerprint"),
        )


@dataclass(frozen=True)
class Job:
    """The scheduler's job that an attempt runs in."""

    scheduler: str
    id: str
    node: str | None = None


class ResumedFrom(NamedTuple):
    """The checkpoint that an attempt went on from: `epoch` whole epochs and `step` steps of the next."""

    attempt: int
    epoch: int
    step: int


@dataclass(frozen=True)
class Progress:
    """progress.json: how far an attempt was about a second ago: `step` steps into `epoch`, which counts from 1."""

    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int
    updated: float


@dataclass(frozen=True)
class End:
    """end.json: how an attempt ended."""

    outcome: RunState
    reason: Reason | None
    message: str
    traceback: str
    ended: float

    @staticmethod
    def parse(plain: dict[str, Any]) -> End:
        """From the file's JSON."""
        reason = None if plain["reason"] is None else Reason(plain["reason"])
        return End(RunState(plain["outcome"]), reason, plain["message"], plain["traceback"], plain["ended"])


@dataclass(frozen=True)
class AttemptRecord:
    """One try at a run. The process is None where attempt.json was damaged; `end` is None until the attempt is over."""

    number: int
    folder: Path
    host: str | None
    pid: int | None
    process_started: str | None
    started: float | None
    job: Job | None
    resumed_from: ResumedFrom | None
    progress: Progress | None
    end: End | None

    @property
    def key(self) -> str:
        """The run's."""
        return self.folder.parents[1].name


Alive = Callable[[AttemptRecord], "bool | None"]


@dataclass(frozen=True)
class Result:
    """result.json: what a run came to, and the attempt that got there."""

    key: str
    attempt: int
    finished: float
    metrics: dict[str, Any]

    @staticmethod
    def parse(plain: dict[str, Any]) -> Result:
        """From the file's JSON."""
        return Result(plain["key"], int(plain["attempt"]), float(plain["finished"]), dict(plain["metrics"]))


@dataclass(frozen=True)
class Status:
    """A run in one line, derived from its files. `attempt` is the newest's number, 0 where there is none."""

    state: RunState
    reason: Reason | None = None
    message: str = ""
    attempt: int = 0
    attempts: int = 0
    epoch: int | None = None
    epochs: int | None = None
    started: float | None = None
    updated: float | None = None
    host: str | None = None
    job: Job | None = None
