"""Jobs that are interrupted go back to the queue and end with the very numbers of undisturbed ones."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.cluster.scheduler import Slurm
from terminator.cluster.submit import journal_of
from terminator.ledger import Ledger, Reason, Run, RunState, Sweep
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import (
    PROFILE,
    all_done,
    determined,
    in_epoch,
    jobs_of,
    submitted,
    task_of,
    tiny,
    undisturbed,
)

EPOCHS = 100  # some five seconds, enough to be hit in
CONFIGS = [tiny(EPOCHS, seed) for seed in range(4)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """The same runs without interruptions."""
    return undisturbed(tmp_path_factory.mktemp("local"), CONFIGS)


def job_in_epoch(cluster: Cluster, ledger: Ledger, sweep: Sweep, run: Run, epoch: int = 1) -> str:
    """The job of the run, once it has trained so far."""
    cluster.wait(lambda: in_epoch(run, epoch), 120)
    return jobs_of(ledger, sweep)[run.key].id


def test_every_kind_of_preemption_continues_exactly(cluster: Cluster, reference: Ledger, tmp_path: Path) -> None:
    ledger, sweep, runs = submitted(tmp_path, CONFIGS)
    for run, blow in zip(runs, ("USR2", "TERM", "requeue", "urgent"), strict=True):
        job = job_in_epoch(cluster, ledger, sweep, run)
        if blow == "requeue":
            cluster.run("scontrol", "requeue", job)
        elif blow == "urgent":
            wanted = ("--partition=urgent", "--nodes=2", "--gpus-per-node=2", "--output=/dev/null")
            cluster.run("sbatch", *wanted, "--wrap=sleep 1")
        else:
            cluster.run("scancel", f"--signal={blow}", job)
    cluster.wait(lambda: all_done(ledger, sweep), 240)
    for run in runs:
        assert determined(run) == determined(reference.run(run.key))
        first, *_, last = run.attempts()
        assert first.end is not None
        assert (first.end.outcome, first.end.reason) == (RunState.preempted, Reason.preempted)
        assert last.resumed_from is not None
        assert (last.resumed_from.epoch, last.resumed_from.step) > (0, 0)
        assert {attempt.job.id for attempt in run.attempts() if attempt.job} == {first.job.id if first.job else None}
    cluster.wait(lambda: {job.state for job in jobs_of(ledger, sweep).values()} == {"COMPLETED"})


def test_two_tasks_stop_and_go_on_together(cluster: Cluster, tmp_path: Path) -> None:
    profile, config = replace(PROFILE, nodes=2), tiny(40)  # two tasks need longer for each
    disturbed, sweep, (run,) = submitted(tmp_path / "disturbed", [config], profile)
    job = job_in_epoch(cluster, disturbed, sweep, run)
    steps = cluster.run("squeue", "--noheader", "--steps", f"--jobs={job}", "--format=%i").split()
    cluster.run("scancel", "--signal=USR2", next(step for step in steps if step.endswith(".0")))
    cluster.wait(lambda: all_done(disturbed, sweep), 180)
    calm, sweep, _ = submitted(tmp_path / "calm", [config], profile)
    cluster.wait(lambda: all_done(calm, sweep), 120)
    assert determined(run) == determined(calm.run(run.key))
    assert [attempt.end.outcome for attempt in run.attempts() if attempt.end] == [RunState.preempted, RunState.done]


def test_the_time_limit_is_counted_apart(cluster: Cluster, tmp_path: Path) -> None:
    """SLURM itself sends the signal, within the last 45 seconds of the one-minute limit."""
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)], replace(PROFILE, timeout_min=1, max_timeouts=0))
    began = time.monotonic()
    cluster.wait(lambda: run.state(lambda attempt: True).state is RunState.failed, 75)
    assert time.monotonic() - began > 10
    status = run.state()
    assert (status.reason, status.message) == (
        Reason.timeout,
        "reached its time limit 1 time, max_timeouts=0: retry continues from the checkpoint",
    )
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    assert (jobs_of(ledger, sweep)[run.key].state, jobs_of(ledger, sweep)[run.key].exit_code) == ("FAILED", 75)
    assert run.attempts()[-1].folder.joinpath("checkpoint.pt").exists()


@pytest.mark.parametrize("blow", ["TERM", "requeue"])
def test_preempted_too_often_and_retried(cluster: Cluster, reference: Ledger, tmp_path: Path, blow: str) -> None:
    ledger, sweep, (run,) = submitted(tmp_path, CONFIGS[:1], replace(PROFILE, max_preemptions=0))
    job = job_in_epoch(cluster, ledger, sweep, run)
    cluster.run(*(("scontrol", "requeue", job) if blow == "requeue" else ("scancel", "--signal=TERM", job)))
    cluster.wait(lambda: run.state(lambda attempt: True).state is RunState.failed)
    assert run.state().reason is Reason.preempted
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    assert not Slurm(ledger, [sweep]).retry([run])  # the job goes on by itself
    cluster.wait(lambda: all_done(ledger, sweep), 120)
    assert determined(run) == determined(reference.run(run.key))
    assert len(run.attempts()) == 2
    assert run.attempts()[-1].resumed_from is not None


def test_a_cluster_that_cancels_what_it_preempts(cluster: Cluster, tmp_path: Path) -> None:
    """There no job comes back by itself, but its checkpoint is there for a retry."""
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)])
    job_in_epoch(cluster, ledger, sweep, run)
    wanted = ("--partition=urgent", "--nodes=2", "--gpus-per-node=2", "--output=/dev/null")
    cluster.run("scontrol", "update", "PartitionName=main", "PreemptMode=CANCEL")
    try:
        cluster.run("sbatch", *wanted, "--wrap=sleep 1")
        cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    finally:
        cluster.run("scontrol", "update", "PartitionName=main", "PreemptMode=REQUEUE")
    Slurm(ledger, [sweep]).refresh()
    assert jobs_of(ledger, sweep)[run.key].state == "PREEMPTED"
    assert run.state().reason is Reason.preempted
    assert (run.attempts()[-1].folder / "checkpoint.pt").exists()


def test_a_killed_job_continues_from_its_checkpoint_when_retried(
    cluster: Cluster, reference: Ledger, tmp_path: Path
) -> None:
    ledger, sweep, (run,) = submitted(tmp_path, CONFIGS[:1])
    job_in_epoch(cluster, ledger, sweep, run, epoch=2)
    pid = run.attempts()[-1].pid
    assert pid is not None
    task = task_of(pid)
    assert task is not None
    for victim in (pid, task):
        os.kill(victim, signal.SIGKILL)
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    slurm = Slurm(ledger, [sweep])
    slurm.refresh()
    assert (run.state().state, run.state().reason) == (RunState.failed, Reason.killed)
    slurm.retry([run])
    cluster.wait(lambda: all_done(ledger, sweep), 120)
    last = run.attempts()[-1]
    assert last.resumed_from is not None
    assert last.resumed_from.epoch >= 1
    assert determined(run) == determined(reference.run(run.key))


def test_a_retried_run_is_let_alone_when_the_clock_was_set_back(cluster: Cluster, tmp_path: Path) -> None:
    """By an hour between the two jobs: all that the first one left is of the future."""
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)])
    cluster.run("scancel", job_in_epoch(cluster, ledger, sweep, run))
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    (array,) = journal_of(ledger, sweep).arrays()
    replace(array, created=array.created + 3600).write()
    record = run.attempt_folder(1) / "attempt.json"
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "started": time.time() + 3600}))
    slurm = Slurm(ledger, [sweep])
    slurm.retry([run])
    cluster.wait(lambda: len(run.attempts()) == 2 and in_epoch(run), 120)
    slurm.refresh()
    assert len(run.attempts()) == 2
    assert run.state(slurm.alive).state is RunState.running
