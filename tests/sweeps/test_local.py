from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from terminator.cluster.profile import ClusterProfile
from terminator.cluster.scheduler import Slurm
from terminator.cluster.submit import journal_of
from terminator.config import RunConfig, TrainingConfig, to_plain
from terminator.errors import UserError
from terminator.ledger import Ledger, Reason, Run, RunState, Status
from terminator.planning.settings import Settings
from terminator.sweeps import local
from terminator.sweeps.local import HydraLauncher, Local, drivers, driving
from terminator.sweeps.pool import Pool, ending
from terminator.sweeps.scheduler import scheduler_for, scheduler_of
from tests.ledger.conftest import PROVENANCE
from tests.ledger.examples import finish, finish_all, sweep

BEGIN = """
import pathlib, signal, sys, time
from terminator.ledger import Ledger, Run, RunState
from terminator.sweeps.local import driving
ledger = Ledger(pathlib.Path(sys.argv[1]))
attempt = Run(ledger.root / "runs" / sys.argv[2]).begin()
def stop(number, frame):
    attempt.stop(RunState.interrupted)
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
with driving(ledger, ledger.sweeps()[: int(sys.argv[3])]):
    print("begun", flush=True)
    while True:
        time.sleep(10)
"""


@contextmanager
def going(ledger: Ledger, run: Run, *, drives: bool) -> Iterator[subprocess.Popen]:
    """A process that has begun the run and ends by SIGINT; with `drives`, one that carries its sweep out."""
    command = [sys.executable, "-c", BEGIN, str(ledger.root), run.key, str(int(drives))]
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_a_run_that_was_being_started_at_the_interruption_is_not_trained(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = ForkServerProcess.start

    def start_slowly(process: ForkServerProcess) -> None:
        os.kill(os.getpid(), signal.SIGINT)  # as the server imports PyTorch, say
        start(process)

    monkeypatch.setattr(ForkServerProcess, "start", start_slowly)
    config = to_plain(RunConfig(training=TrainingConfig(epochs=1)))
    pool = Pool([ledger.freeze("f" * 16, config, PROVENANCE)], 1, lambda _: None)
    pool.run()
    [(run, _)] = pool.ended
    assert (pool.interrupted, run.attempt_numbers()) == (True, [])


def test_cancel_interrupts_what_runs(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    run = ledger.run(planned.keys()[0])
    with going(ledger, run, drives=False) as process:
        assert sweeps("cancel").out == f"{planned.id}: 1 run stopped\n"
        assert process.wait(timeout=20) == 130
    assert run.state().state is RunState.interrupted


def test_cancel_interrupts_what_carries_the_sweep_out(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    with going(ledger, ledger.run(planned.keys()[0]), drives=True) as process:
        assert [driver.pid for driver in drivers(ledger, planned)] == [process.pid]
        sweeps("cancel")
        assert process.wait(timeout=20) == 130
    assert drivers(ledger, planned) == []


def test_what_was_killed_is_found_and_written_down(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    run = ledger.run(planned.keys()[0])
    with going(ledger, run, drives=True) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert drivers(ledger, planned) == []
    assert "killed: the process ended without recording why" in sweeps("status").out
    assert run.attempts()[0].end.reason is Reason.killed


def test_retry_has_nothing_to_do_when_all_is_done_or_running(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    finish_all(ledger, planned)
    answer = sweeps("retry")
    assert (answer.code, answer.out) == (0, f"{planned.id}: nothing to run again\n")


@pytest.mark.usefixtures("same_code")
def test_retry_refuses_runs_of_other_code(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches", code="0ther")
    answer = sweeps("retry")
    assert answer.code == 2
    assert f"run {planned.keys()[0]}: frozen with other code (code=0ther, now c0de)" in answer.err
    assert ledger.run(planned.keys()[0]).state().state is RunState.pending


def test_retry_leaves_a_sweep_that_is_being_carried_out_alone(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    with driving(ledger, [planned]):
        answer = sweeps("retry")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"{planned.id}: process {os.getpid()} on " in answer.err


def test_whoever_drives_a_sweep_is_known_while_it_lasts(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    with driving(ledger, [planned]):
        assert [driver.pid for driver in drivers(ledger, planned)] == [os.getpid()]
    assert drivers(ledger, planned) == []


@pytest.fixture
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples' runs count as frozen with the code as it is."""
    monkeypatch.setattr(local, "from_plain", dict)
    monkeypatch.setattr(local, "code_hash", lambda config: "c0de")


class Started(Local):
    """Does not run its runs: finishes them."""

    def _carry_out(self, runs: Sequence[Run]) -> None:
        for run in runs:
            finish(run)


@pytest.mark.usefixtures("same_code")
def test_retry_starts_exactly_these_runs(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches", tracked=False)
    runs = list(map(ledger.run, planned.keys()))
    assert Started(ledger, [planned]).retry([runs[1], runs[3]])
    assert [run.state().state for run in runs] == [RunState.pending, RunState.done] * 2


@pytest.mark.usefixtures("same_code")
def test_the_retry_command_starts_what_failed_and_nothing_else(
    ledger: Ledger, sweeps: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four runs one is done, one has failed, one is running elsewhere and one is pending: two are started."""
    planned = sweep(ledger, "branches", tracked=False)
    done, failed, running, pending = map(ledger.run, planned.keys())
    finish(done)
    failed.begin().fail(Reason.exception, "why")
    running.begin()
    monkeypatch.setattr(Local, "_carry_out", Started._carry_out)
    answer = sweeps("retry")
    assert (answer.code, answer.out) == (0, f"{planned.id}: 1 failed, 1 pending to run again\n")
    assert [len(run.attempts()) for run in (done, failed, running, pending)] == [1, 2, 1, 1]


def test_a_hydra_launcher_is_given_the_runs_as_overrides(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches", "gating", tracked=False)
    runs = list(map(ledger.run, planned.keys()))
    jobs: list[list[str]] = []
    scheduler = scheduler_for(Settings(), ledger, [planned], jobs.extend)
    assert isinstance(scheduler, HydraLauncher)
    assert scheduler.start([runs[0], runs[3]])
    assert jobs == [["data=digits", "seed=0"], ["data=digits", "model.local=false", "seed=1"]]


def test_one_factory_knows_what_a_command_and_a_sweep_mean(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    on_cluster = Settings(cluster=ClusterProfile())
    assert type(scheduler_for(Settings(), ledger, [planned])) is Local
    assert type(scheduler_for(on_cluster, ledger, [planned])) is Slurm
    with pytest.raises(UserError, match=r"^hydra/launcher: cluster= submits by itself; give one of the two$"):
        scheduler_for(on_cluster, ledger, [planned], print)
    assert type(scheduler_of(ledger, planned)) is Local
    journal_of(ledger, planned).folder.mkdir()
    assert type(scheduler_of(ledger, planned)) is Slurm


@pytest.mark.parametrize(
    ("status", "interrupted", "text"),
    [
        (Status(RunState.done), False, "done in 25.4 s"),
        (Status(RunState.done), True, "done in 25.4 s"),
        (
            Status(RunState.interrupted, Reason.interrupted),
            True,
            "stopped after 25.4 s; the same command continues it",
        ),
        (Status(RunState.running), True, "stopped after 25.4 s; the same command continues it"),
        (Status(RunState.running), False, "left to another process after 25.4 s"),
        (Status(RunState.pending), True, "stopped after 25.4 s; the same command continues it"),
        (Status(RunState.failed, Reason.killed, "by SIGKILL"), False, "failed: killed after 25.4 s (by SIGKILL)"),
        (Status(RunState.failed, Reason.diverged), True, "failed: diverged after 25.4 s"),
    ],
)
def test_how_a_runs_process_ended(status: Status, interrupted: bool, text: str) -> None:
    assert ending(status, 25.4, interrupted) == text
