from __future__ import annotations

import pytest

from terminator.ledger import Reason, RunState, Status
from terminator.sweeps.pool import ending


@pytest.mark.parametrize(
    ("status", "interrupted", "said"),
    [
        (Status(RunState.done), False, "done in 25.4 s"),
        (Status(RunState.done), True, "done in 25.4 s"),
        (
            Status(RunState.interrupted, Reason.interrupted),
            True,
            "stopped after 25.4 s; the same command goes on",
        ),
        (Status(RunState.running), True, "stopped after 25.4 s; the same command goes on"),
        (Status(RunState.running), False, "left to another process after 25.4 s"),
        (Status(RunState.pending), True, "stopped after 25.4 s; the same command goes on"),
        (Status(RunState.failed, Reason.killed, "by SIGKILL"), False, "failed: killed after 25.4 s (by SIGKILL)"),
        (Status(RunState.failed, Reason.diverged), True, "failed: diverged after 25.4 s"),
    ],
)
def test_how_a_run_ended(status: Status, interrupted: bool, said: str) -> None:
    assert ending(status, 25.4, interrupted) == said
