from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from terminator.ledger import Ledger, Reason, Run, RunState
from terminator.sweeps.local import drivers, driving
from tests.ledger.examples import finish_all, sweep

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
    assert "killed: ended without a word" in sweeps("status").out
    assert run.attempts()[0].end.reason is Reason.killed


def test_retry_has_nothing_to_do_when_all_is_done_or_running(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    finish_all(ledger, planned)
    answer = sweeps("retry")
    assert (answer.code, answer.out) == (0, f"{planned.id}: nothing to run again\n")


def test_retry_refuses_runs_of_other_code(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    answer = sweeps("retry")
    assert answer.code == 2
    assert f"run {planned.keys()[0]}: frozen with other code (code=c0de, now" in answer.err
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
