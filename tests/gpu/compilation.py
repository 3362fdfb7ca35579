"""Compiling the forms of `benchmarks.train_step` in the background, beside checks that measure no time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks.cases import Form
from tests.gpu.conftest import BEGAN, DEVICE, REPOSITORY

EAGER = [form.value for form in (Form.plain, Form.fast, Form.fast_bf16)]
# What is timed first comes first; bfloat16 gives `tiny` nothing.
COMPILED = [
    *(("tiny", form.value) for form in (Form.graphs, Form.compiled)),
    *(("release", form.value) for form in (Form.compiled_bf16, Form.compiled, Form.graphs_bf16, Form.graphs)),
]
QUIET_AFTER = 330.0  # seconds from the start of all checks, when time is measured, whatever is compiled by then


class Compilation:
    """Every compiled form takes a few steps, all at once, for what they leave in the compiler's cache.

    `environment`: what makes a process use that cache. `seconds`: how long (case, form) took, where it succeeded.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = {"TORCHINDUCTOR_CACHE_DIR": str(folder), "TORCHINDUCTOR_COMPILE_THREADS": "2"}
        self.seconds: dict[tuple[str, str], float] = {}
        self._under_way: list[tuple[subprocess.Popen[bytes], threading.Thread]] = []
        for case, form in COMPILED:
            process = subprocess.Popen(
                [sys.executable, *step_words(case, [form], rounds=1)],
                cwd=REPOSITORY,
                env={**os.environ, **self.environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            thread = threading.Thread(target=self._note, args=((case, form), process), daemon=True)
            thread.start()
            self._under_way.append((process, thread))

    def _note(self, what: tuple[str, str], process: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        if process.wait() == 0:
            self.seconds[what] = time.monotonic() - began

    def wait(self) -> None:
        """As long as there is time for it; then end what still runs."""
        for _, thread in self._under_way:
            thread.join(max(0.0, QUIET_AFTER - (time.monotonic() - BEGAN)))
        self.end()

    def end(self) -> None:
        """End what still runs."""
        for process, thread in self._under_way:
            if thread.is_alive():
                os.killpg(process.pid, signal.SIGKILL)
                thread.join()


def step_words(case: str, forms: list[str], *, rounds: int) -> list[str]:
    """The words behind `python` that time a training step in these forms."""
    words = ["-m", "benchmarks.train_step", "--case", case, "--forms", *forms]
    return [*words, "--rounds", str(rounds), "--threads", "2", "--device", DEVICE]
