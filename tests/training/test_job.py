"""An attempt as a process: signals, failures, exit codes, and what the ledger then says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.config import OptimizerConfig, OptimizerName, RunConfig
from terminator.data.config import DataConfig
from terminator.job import execute, share_compiled
from terminator.ledger import EXIT_CODES, EXIT_DIVERGED, EXIT_SUPERSEDED, Job, Reason, Run, RunState
from tests.training.conftest import Freeze, finish, numbers, with_training


def when(condition: Callable[[], bool], act: Callable[[], None]) -> threading.Thread:
    """Do `act` in a thread as soon as `condition` holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def started(run: Run, attempts: int = 1) -> Callable[[], bool]:
    """Whether so many attempts have trained a step."""
    return lambda: sum(attempt.progress is not None for attempt in run.attempts()) == attempts


def signal_self(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


STOPS = {
    signal.SIGTERM: RunState.preempted,
    signal.SIGUSR2: RunState.preempted,
    signal.SIGINT: RunState.interrupted,
}


def test_signals_stop_at_the_next_step_and_the_run_goes_on(small: RunConfig, freeze: Freeze) -> None:
    config = with_training(small, epochs=8)
    undisturbed, run = freeze(config, "undisturbed"), freeze(config, "disturbed")
    handlers = [signal.getsignal(each) for each in STOPS]
    for attempts, (number, state) in enumerate(STOPS.items(), start=1):
        when(started(run, attempts), signal_self(number)).join(0)
        assert execute(run) == EXIT_CODES[state]
        assert [signal.getsignal(each) for each in STOPS] == handlers
        assert (run.state().state, run.state().reason) == (state, Reason(state.value))
        assert (run.attempts()[-1].folder / "checkpoint.pt").exists()
    assert execute(run) == 0
    assert numbers(run.result().metrics) == numbers(finish(undisturbed))
    assert all(attempt.resumed_from is not None for attempt in run.attempts()[1:])


def test_done_once_is_done(small: RunConfig, freeze: Freeze, capfd: pytest.CaptureFixture[str]) -> None:
    run = freeze(with_training(small, epochs=1))
    assert execute(run, Job("slurm", "12_3", "n1")) == 0
    assert run.attempts()[0].job == Job("slurm", "12_3", "n1")
    assert capfd.readouterr() == ("", "")  # it said what it had to say in the log
    assert "epoch 1/1" in run.log_path().read_text()
    assert execute(run) == EXIT_SUPERSEDED
    assert len(run.attempts()) == 1


def test_an_older_attempt_notices_and_writes_nothing_more(small: RunConfig, freeze: Freeze) -> None:
    run = freeze(with_training(small, epochs=50))
    when(started(run), lambda: run.begin() and None)
    assert execute(run) == EXIT_SUPERSEDED
    assert run.attempts()[0].end is None
    assert run.state().attempt == 2


@pytest.mark.parametrize(
    ("change", "code", "reason", "message"),
    [
        (
            {"optimizer": OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=1e30)},
            EXIT_DIVERGED,
            Reason.diverged,
            "at step 2 (epoch 1)",
        ),
        (
            {"data": DataConfig(format="hub", folder="no-such-folder")},
            EXIT_CODES[RunState.failed],
            Reason.exception,
            "data.folder=no-such-folder: no train*.parquet under it",
        ),
    ],
)
def test_failures(
    small: RunConfig, freeze: Freeze, change: dict[str, object], code: int, reason: Reason, message: str
) -> None:
    run = freeze(replace(small, **change))  # type: ignore[arg-type]
    assert execute(run) == code
    assert (run.state().state, run.state().reason) == (RunState.failed, reason)
    assert message in run.state().message
    assert "Traceback (most recent call last)" in run.attempts()[0].end.traceback
    assert message in run.log_path().read_text()


def test_out_of_memory(small: RunConfig, freeze: Freeze) -> None:
    # 2⁴⁰ hidden channels: more than any machine gives to one tensor.
    model = replace(small.model, interaction_spatial_hidden=2**40)  # type: ignore[type-var]
    run = freeze(replace(small, model=model))
    assert execute(run) == EXIT_CODES[RunState.failed]
    assert run.state().reason is Reason.out_of_memory


def start(run: Run, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "terminator.job", str(run.folder)]
    with open(log, "wb") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_preempted_while_starting(small: RunConfig, freeze: Freeze, tmp_path: Path) -> None:
    run = freeze(small)
    process = start(run, tmp_path / "log")
    wait_for(lambda: bool(run.attempt_numbers()))  # PyTorch's import has hardly begun
    process.terminate()
    assert process.wait(120) == EXIT_CODES[RunState.preempted]
    assert run.state().state is RunState.preempted
    assert not run.attempts()[0].progress
    assert "preempted" in (tmp_path / "log").read_text()


def test_compiled_runs_of_a_root_share_a_cache_unless_the_environment_names_one(
    small: RunConfig, freeze: Freeze, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    compiled, *others = [with_training(replace(small, seed=seed), compile=True) for seed in range(2)]
    share_compiled(freeze(compiled))
    assert os.environ.pop("TORCHINDUCTOR_CACHE_DIR") == "elsewhere"
    share_compiled(freeze(small))
    assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    for config in (compiled, *others):
        share_compiled(freeze(config))
        folder = Path(os.environ.pop("TORCHINDUCTOR_CACHE_DIR"))
        assert folder.parent == tmp_path / "ledger" / "compile-cache"
        assert [each.name for each in folder.parent.parent.iterdir()] == ["runs"]  # nothing is made before it is used


def test_no_such_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "terminator.job", str(tmp_path / "0123")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("run 0123: ")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_fails_the_attempt_alone(small: RunConfig, freeze: Freeze, tmp_path: Path) -> None:
    config = with_training(small, epochs=4)
    undisturbed = freeze(config, "undisturbed")
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", tmp_path / "small"], check=True)
    try:
        run = freeze(config, "small")
        assert execute(run) == EXIT_CODES[RunState.failed]  # checkpoints are larger
        status = run.state()
        assert (status.state, status.reason) == (RunState.failed, Reason.storage)
        assert "No space left on device" in (status.message or "")
        subprocess.run(["mount", "-o", "remount,size=9m", tmp_path / "small"], check=True)
        assert execute(run) == 0
        assert numbers(run.result().metrics) == numbers(finish(undisturbed))
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)
