"""The user's cache folder: what took time to find out or to generate. Losing it costs that time again, nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]


def cache_folder() -> Path:
    """XDG_CACHE_HOME/terminator, by default ~/.cache/terminator. It may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "terminator"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write` a file under another name, then rename it: readers see all of it or none. No error where that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            draft = Path(folder) / path.name
            write(draft)
            os.replace(draft, path)
    except OSError:
        pass  # a cache that cannot be written costs time, no more


def stamp(path: Path) -> list[str | int]:
    """What changes with a file's content: its path, size and times."""
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def remembered(source: str, files: list[list[str | int]], compute: Callable[[], object]) -> Any:
    """What `compute` found out about the files of `source`, as JSON keeps it, until their stamps change."""
    path = cache_folder() / "fingerprints.json"
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    if known.get(source, {}).get("files") != files:
        known[source] = {"files": files, "fingerprint": compute()}
        write_atomically(path, lambda draft: draft.write_text(json.dumps(known, indent=1), "utf-8"))
    return known[source]["fingerprint"]


def generated(name: str, settings: str, make: Callable[[], Arrays]) -> Arrays:
    """What `make` returns for these settings, from the cache where it is there in full.

    Processes that start at once each make the same and write it, one after the other.
    """
    path = cache_folder() / "generated" / f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            return {name: members[name] for name in members.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # not there, or damaged: the format has a checksum of each array
    arrays = make()
    content: Any = arrays
    write_atomically(path, lambda draft: np.savez(draft, **content))
    return arrays


_FINGERPRINTS: dict[tuple[str, str], str] = {}


def generated_fingerprint(name: str, settings: str, make: Callable[[], Arrays]) -> str:
    """The fingerprint of what `generated` returns; a process reads it once, though a plan asks for every run."""
    if (name, settings) not in _FINGERPRINTS:
        _FINGERPRINTS[name, settings] = fingerprint_of(generated(name, settings, make))
    return _FINGERPRINTS[name, settings]


def fingerprint_of(arrays: Arrays) -> str:
    """A hash of the arrays' names, types, shapes and values: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
