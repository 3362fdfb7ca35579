"""Checkpoints that are whole or not there, and that say so when they have been damaged since."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from terminator.ledger import files


class DamagedCheckpoint(RuntimeError):  # noqa: N818 — what it is, not what went wrong in reading it
    """A file that no checkpoint can be read from; the message says why."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Replace `path`: whoever reads it sees the old checkpoint or the new, also when the machine dies in between.

    Raises OSError where the disk is full.
    """
    temporary = files.temporary_path(path)
    try:
        with open(temporary, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # PyTorch could not write, and then not close the archive
            raise error.__context__ from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name is on the disk only when its folder is
    finally:
        os.close(folder)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What was saved, on the CPU. Raises DamagedCheckpoint for half a file, a flipped bit, or something else's file."""
    try:
        # Every record of the archive carries a checksum, which torch.load does not compare.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedCheckpoint(f"the checksum of {damaged} does not fit")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except DamagedCheckpoint:
        raise
    except Exception as error:  # a damaged archive breaks zipfile and the unpickler in any way
        raise DamagedCheckpoint(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    if not isinstance(content, dict):
        raise DamagedCheckpoint(f"holds a {type(content).__name__}")
    return content
