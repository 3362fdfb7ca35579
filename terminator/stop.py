"""Being asked to stop: signals set a flag, and the loop looks at it between steps."""

from __future__ import annotations

import signal
from enum import Enum
from types import FrameType, TracebackType
from typing import Any


class Cause(Enum):
    """Who asked: the scheduler, which will start the run again, or the user."""

    preempted = "preempted"
    interrupted = "interrupted"


SIGNALS = {
    signal.SIGTERM: Cause.preempted,
    signal.SIGUSR2: Cause.preempted,
    signal.SIGINT: Cause.interrupted,
}


class Stopped(Exception):  # noqa: N818 — no error: the run was asked to stop, and has
    """The run stopped where it can be resumed."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class StopRequest:
    """While entered, SIGTERM and SIGUSR2 (preempted) and SIGINT (interrupted) are noted in `cause`; the first counts.

    A second SIGINT raises KeyboardInterrupt at once. Entered in the main thread only, as Python's signals demand.
    """

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        cause = SIGNALS[signal.Signals(number)]
        if cause is self.cause is Cause.interrupted:
            raise KeyboardInterrupt
        self.cause = self.cause or cause

    def asked(self) -> Cause | None:
        """Who asked, if anybody did."""
        return self.cause
