from __future__ import annotations

import pytest

from terminator.cluster.submit import Submission
from terminator.text import counted
from terminator.tracking import SyncReport


@pytest.mark.parametrize(("number", "said"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1437, "1,437 runs")])
def test_one_thing_is_no_plural(number: int, said: str) -> None:
    assert counted(number, "run") == said


def test_reports_count_each_thing_by_itself() -> None:
    assert str(SyncReport(runs=1, points=1)) == "1 run up to date, 1 new point"
    assert str(SyncReport(unchanged=2)) == "2 runs up to date, 0 new points"
    assert str(Submission(runs=1, jobs=1)) == "1 run queued in 1 job"
    waiting = "a place in the queue: `sweeps watch` or `status`"
    assert str(Submission(3, 2, waiting=1)).endswith(f"3 runs queued in 2 jobs, 1 job waits for {waiting} submits it")
    assert str(Submission(3, 2, waiting=2)).endswith(f", 2 jobs wait for {waiting} submits them")
