"""One syncer at a time: MLflow has no way to make a run only if it isn't there."""

from __future__ import annotations

import errno
import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def only_one(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock on `path` inside the block; it ends with the process that holds it, however that ends.

    Raises TimeoutError if another process still holds it after `patience` seconds.
    """
    with open(path, "a", encoding="utf-8") as file:
        deadline = time.monotonic() + patience
        while not _taken(file.fileno(), path):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process is syncing ({path} is locked)")
            time.sleep(0.1)
        yield


def _taken(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        # Some cluster file systems have no locks: tracking without one is better than none.
        log.warning("%s: no file locks here (%s): do not sync from two processes at once", path, error.strerror)
    return True
