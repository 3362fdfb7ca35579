"""What ends a command or a run without a result."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)


class UserError(ValueError):
    """Bad input: one line that names the key, the value and the rule. Entry points print it and exit with 2."""


def storage_problem(root: Path, error: OSError) -> str | None:
    """`root=/x: no space left (runs/y: No space left on device)`; None for an error that tells of something else.

    A file that is not under the root is named in the root's place.
    """
    if error.errno not in (*FULL, *NO_RIGHTS):
        return None
    place = Path(os.fsdecode(error.filename or root)).absolute()
    there = place if os.path.exists(place) else place.parent
    rule = "not writable" if os.access(there, os.R_OK | os.X_OK * os.path.isdir(there)) else "not readable"
    rule = "no space left" if error.errno in FULL else rule
    if not place.is_relative_to(root):
        return f"{place}: {rule} ({error.strerror})"
    within = "" if place == root else f"{place.relative_to(root)}: "
    return f"root={root}: {rule} ({within}{error.strerror})"


@contextmanager
def storage_errors(root: Path) -> Iterator[None]:
    """Raise UserError in place of an OSError that tells of a full disk or of missing rights under `root`."""
    try:
        yield
    except OSError as error:
        if (problem := storage_problem(root, error)) is None:
            raise
        raise UserError(problem) from error


class Diverged(RuntimeError):  # noqa: N818 — the name of the ledger's reason
    """The loss is infinite or not a number; the message names the step."""
