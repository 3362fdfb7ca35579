from __future__ import annotations

import json

import pytest

from terminator.ledger import Ledger, Run
from terminator.sweeps.local import Local
from terminator.sweeps.show import duration, rows
from tests.ledger.examples import sweep


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.4, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (5000.0, "83 min"), (5400.0, "1 h 30 min")],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert duration(seconds) == said


def running(ledger: Ledger, *, epoch: int, step: int, seconds: float) -> Run:
    """A run of 10 epochs of 20 steps that got there so many seconds after it began."""
    run = ledger.run(sweep(ledger, "branches").keys()[0])
    attempt = run.begin()
    started = run.attempts()[-1].started
    progress = {"epoch": epoch, "epochs": 10, "step": step, "steps_per_epoch": 20, "updated": started + seconds}
    (attempt.folder / "progress.json").write_text(json.dumps(progress))
    return run


def left(ledger: Ledger, scheduler: Local | None = None) -> float | None:
    planned = ledger.sweeps()[0]
    return rows(ledger, planned, scheduler or Local(ledger, [planned]))[0].seconds_left


def test_the_time_left_is_at_the_pace_so_far(ledger: Ledger) -> None:
    running(ledger, epoch=3, step=10, seconds=50.0)  # 2.5 of 10 epochs in 50 s
    assert left(ledger) == pytest.approx(150.0)


def test_the_time_left_after_a_resume_counts_the_epochs_since(ledger: Ledger) -> None:
    run = running(ledger, epoch=7, step=0, seconds=30.0)  # 6 of 10 epochs, the first 5 of them by another attempt
    path = run.attempt_folder(1) / "attempt.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "resumed_from": {"attempt": 0, "epoch": 4, "step": 20}}))
    assert left(ledger) == pytest.approx(120.0)


def test_no_time_left_is_told_before_the_first_step(ledger: Ledger) -> None:
    running(ledger, epoch=1, step=0, seconds=5.0)
    assert left(ledger) is None


def test_a_time_limit_that_comes_first_counts(ledger: Ledger) -> None:
    class Limited(Local):
        def seconds_left(self, run: Run) -> float:
            return 60.0

    running(ledger, epoch=3, step=10, seconds=50.0)
    assert left(ledger, Limited(ledger, ledger.sweeps()[:1])) == 60.0
