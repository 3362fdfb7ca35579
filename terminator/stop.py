"""Being asked to stop: signals set a flag, and the loop looks at it between steps."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

from terminator.ledger import RunState

# The scheduler, which will start the run again, sends the first two; the user the third.
SIGNALS = {
    signal.SIGTERM: RunState.preempted,
    signal.SIGUSR2: RunState.preempted,
    signal.SIGINT: RunState.interrupted,
}


class Stopped(Exception):  # noqa: N818 — no error: the run was asked to stop, and has
    """The run stopped where it can be resumed; `state` is preempted or interrupted."""

    def __init__(self, state: RunState) -> None:
        super().__init__(state.value)
        self.state = state


class StopRequest:
    """While entered, SIGTERM and SIGUSR2 (preempted) and SIGINT (interrupted) are noted in `state`; the first counts.

    A second SIGINT raises KeyboardInterrupt at once. Entered in the main thread only, as Python's signals demand.
    """

    def __init__(self) -> None:
        self.state: RunState | None = None
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
        state = SIGNALS[signal.Signals(number)]
        if state is self.state is RunState.interrupted:
            raise KeyboardInterrupt
        self.state = self.state or state

    def asked(self) -> RunState | None:
        """The state to stop in, if anybody asked."""
        return self.state
