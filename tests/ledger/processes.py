"""Python processes beside the test's, also several that do the same thing at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

READY = "import sys; print('ready', flush=True); sys.stdin.readline()\n"


def python(code: str) -> subprocess.Popen[str]:
    """A process that runs `code` with this checkout, and text pipes to it and from it."""
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, env=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def together(prepare: str, act: str, number: int) -> list[str]:
    """Run `prepare` in each of `number` processes, then, when all are ready, `act`. Returns what each prints."""
    with ExitStack() as stack:
        processes = [stack.enter_context(python(prepare + "\n" + READY + act)) for _ in range(number)]
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * number
    return printed
