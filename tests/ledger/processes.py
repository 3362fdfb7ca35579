"""Processes that do the same thing at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

READY = "import sys; print('ready', flush=True); sys.stdin.readline()\n"


def together(prepare: str, act: str, number: int) -> list[str]:
    """Run `prepare` in each of `number` processes, then, when all are ready, `act`. Returns what each prints."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", prepare + "\n" + READY + act]
    with ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, env=place, **pipes)) for _ in range(number)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * number
    return said
