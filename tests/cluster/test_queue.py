from __future__ import annotations

from pathlib import Path

import pytest

from terminator.cluster.journal import Array
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.scheduler import cannot_see_root, message_of, reason_of, state_of
from terminator.cluster.slurm import QueuedJob, SlurmAwayError, SlurmRefusedError, ask_once, failure, seconds
from terminator.errors import UserError
from terminator.ledger import Reason, RunState


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0:07", 7), ("9:59", 599), ("1:02:03", 3723), ("2-01:02:03", 176523), ("UNLIMITED", None), ("N/A", None)],
)
def test_slurms_times(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


def test_what_a_command_wrote_tells_a_refusal_from_an_absence() -> None:
    refusal = failure(
        "sbatch", "sbatch: error: invalid partition specified: x\nallocation failure: Invalid partition\n"
    )
    assert isinstance(refusal, SlurmRefusedError)
    assert str(refusal) == "sbatch: invalid partition specified: x; allocation failure: Invalid partition"
    away = failure("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n")
    assert isinstance(away, SlurmAwayError)
    assert isinstance(failure("sbatch", ""), SlurmRefusedError)
    with pytest.raises(SlurmRefusedError, match=r"ls: .*nowhere"):
        ask_once("ls", "/nowhere")
    with pytest.raises(UserError, match="no such_a_command on this machine"):
        ask_once("such_a_command")


@pytest.fixture
def array(tmp_path: Path) -> Array:
    folder = tmp_path / "sweeps" / "s" / "slurm" / "s.1"
    folder.mkdir(parents=True)
    return Array(folder, "p", 0.0, "c", ClusterProfile(), (("k",),), "5")


@pytest.mark.parametrize(
    ("job", "reason", "state"),
    [
        (QueuedJob("5_0", "s.1", "CANCELLED"), Reason.cancelled, RunState.interrupted),
        (QueuedJob("5_0", "s.1", "TIMEOUT"), Reason.timeout, RunState.failed),
        (QueuedJob("5_0", "s.1", "OUT_OF_MEMORY", signal=9), Reason.out_of_memory, RunState.failed),
        (QueuedJob("5_0", "s.1", "NODE_FAIL"), Reason.node_lost, RunState.failed),
        (QueuedJob("5_0", "s.1", "PREEMPTED"), Reason.preempted, RunState.failed),
        (QueuedJob("5_0", "s.1", "FAILED", signal=9), Reason.killed, RunState.failed),
        (QueuedJob("5_0", "s.1", "FAILED", exit_code=137), Reason.killed, RunState.failed),
        (QueuedJob("5_0", "s.1", "FAILED", exit_code=1), Reason.exception, RunState.failed),
        (None, Reason.cancelled, RunState.interrupted),
    ],
)
def test_slurms_states_in_the_ledgers_words(
    array: Array, job: QueuedJob | None, reason: Reason, state: RunState
) -> None:
    assert reason_of("5_0", job, array) is reason
    assert state_of(reason) is state


def test_a_forgotten_job_that_had_started_was_killed(array: Array) -> None:
    assert message_of("5_0", None, array) == "job 5_0 left the queue before it started"
    array.log("5_0").touch()
    assert reason_of("5_0", None, array) is Reason.killed
    assert message_of("5_0", None, array) == "job 5_0 has left the queue, and there is no accounting to ask why"


def test_messages_name_the_job_its_node_and_what_to_do(array: Array, tmp_path: Path) -> None:
    failed = QueuedJob("5_0", "s.1", "FAILED", "NonZeroExitCode", "n1", exit_code=3)
    assert message_of("5_0", failed, array) == "job 5_0 on n1: FAILED, exit code 3 (NonZeroExitCode)"
    blind = QueuedJob("5_0", "s.1", "FAILED", "JobLaunchFailure", "n1", signal=53)
    assert cannot_see_root(blind)
    assert message_of("5_0", blind, array) == (
        f"node n1 does not see root={tmp_path}: it has to be on a file system that the nodes share"
    )
