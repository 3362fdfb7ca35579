"""One submission at a time under an output root, also from several log-in shells."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terminator.errors import UserError

PATIENCE = 120.0  # seconds


@contextmanager
def submission_lock(root: Path) -> Iterator[None]:
    """Wait until no other process submits. The lock goes with its process. Raises UserError after two minutes."""
    path = root / "sweeps" / ".slurm-lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UserError(f"{path}: another process has been submitting for two minutes") from None
                time.sleep(0.2)
        yield
