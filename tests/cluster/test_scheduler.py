"""What became of a job, from SLURM's state and the job's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminator.cluster.journal import Array
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.scheduler import cannot_see_root, ending_of, message_of
from terminator.cluster.slurm import QueuedJob
from terminator.ledger import Reason, RunState


@pytest.fixture
def array(tmp_path: Path) -> Array:
    folder = tmp_path / "sweeps" / "s" / "slurm" / "s.1"
    folder.mkdir(parents=True)
    return Array(folder, "p", 0.0, "c", ClusterProfile(), (("k",),), "5")


@pytest.mark.parametrize(
    ("job", "state", "reason"),
    [
        (QueuedJob("5_0", "s.1", "CANCELLED"), RunState.interrupted, Reason.cancelled),
        (QueuedJob("5_0", "s.1", "TIMEOUT"), RunState.failed, Reason.timeout),
        (QueuedJob("5_0", "s.1", "OUT_OF_MEMORY", signal=9), RunState.failed, Reason.out_of_memory),
        (QueuedJob("5_0", "s.1", "NODE_FAIL"), RunState.failed, Reason.node_lost),
        (QueuedJob("5_0", "s.1", "PREEMPTED"), RunState.failed, Reason.preempted),
        (QueuedJob("5_0", "s.1", "FAILED", signal=9), RunState.failed, Reason.killed),
        (QueuedJob("5_0", "s.1", "FAILED", exit_code=137), RunState.failed, Reason.killed),
        (QueuedJob("5_0", "s.1", "FAILED", exit_code=1), RunState.failed, Reason.exception),
        (None, RunState.interrupted, Reason.cancelled),
    ],
)
def test_slurms_states_as_the_ledger_has_them(
    array: Array, job: QueuedJob | None, state: RunState, reason: Reason
) -> None:
    assert ending_of("5_0", job, array) == (state, reason)


@pytest.mark.parametrize(
    ("line", "reason"), [("slurmstepd: error: Detected 1 oom_kill event", Reason.out_of_memory), ("", Reason.killed)]
)
def test_a_killed_job_was_out_of_memory_if_its_log_has_it(array: Array, line: str, reason: Reason) -> None:
    array.log("5_0").write_text(f"epoch 1\n{line}\n")
    assert ending_of("5_0", QueuedJob("5_0", "s.1", "FAILED", signal=9), array) == (RunState.failed, reason)


def test_a_forgotten_job_that_had_started_was_killed(array: Array) -> None:
    assert message_of("5_0", None, array) == "job 5_0 left the queue before it started"
    array.log("5_0").touch()
    assert ending_of("5_0", None, array) == (RunState.failed, Reason.killed)
    assert message_of("5_0", None, array) == "job 5_0 has left the queue, and there is no accounting to ask why"


def test_messages_name_the_job_its_node_and_what_to_do(array: Array, tmp_path: Path) -> None:
    failed = QueuedJob("5_0", "s.1", "FAILED", "NonZeroExitCode", "n1", exit_code=3)
    assert message_of("5_0", failed, array) == "job 5_0 on n1: FAILED, exit code 3"
    blind = QueuedJob("5_0", "s.1", "FAILED", "JobLaunchFailure", "n1", signal=53)
    assert cannot_see_root(blind)
    assert message_of("5_0", blind, array) == (
        f"node n1 does not see root={tmp_path}: it has to be on a file system that the nodes share"
    )
