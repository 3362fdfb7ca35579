"""Stop requests, by real signals."""

from __future__ import annotations

import os
import signal

import pytest

from terminator.stop import Cause, StopRequest


@pytest.mark.parametrize(
    ("numbers", "cause"),
    [
        ([signal.SIGTERM], Cause.preempted),
        ([signal.SIGUSR2, signal.SIGUSR2], Cause.preempted),
        ([signal.SIGINT], Cause.interrupted),
        ([signal.SIGTERM, signal.SIGINT], Cause.preempted),
        ([signal.SIGINT, signal.SIGTERM], Cause.interrupted),
    ],
)
def test_the_first_signal_counts(numbers: list[signal.Signals], cause: Cause) -> None:
    with StopRequest() as stop:
        assert stop.asked() is None
        for number in numbers:
            os.kill(os.getpid(), number)
        assert stop.asked() is cause


def test_a_second_ctrl_c_stops_at_once() -> None:
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
