"""Stop requests, by real signals."""

from __future__ import annotations

import os
import signal

import pytest

from terminator.ledger import RunState
from terminator.stop import StopRequest


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        ([signal.SIGTERM], RunState.preempted),
        ([signal.SIGUSR2, signal.SIGUSR2], RunState.preempted),
        ([signal.SIGINT], RunState.interrupted),
        ([signal.SIGTERM, signal.SIGINT], RunState.preempted),
        ([signal.SIGINT, signal.SIGTERM], RunState.interrupted),
    ],
)
def test_the_first_signal_counts(numbers: list[signal.Signals], state: RunState) -> None:
    with StopRequest() as stop:
        assert stop.asked() is None
        for number in numbers:
            os.kill(os.getpid(), number)
        assert stop.asked() is state


def test_a_second_ctrl_c_stops_at_once() -> None:
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
