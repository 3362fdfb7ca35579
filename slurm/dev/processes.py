"""Which processes are the cluster's: found in /proc, so that nothing else is ever ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Every daemon carries this variable, and every slurmstepd inherits it.
MARK = "TERMINATOR_DEV_CLUSTER"


def started(pid: int) -> str | None:
    """A process's start time, which tells it from a later one of the same number; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def kill_jobs(folder: Path) -> int:
    """Kill what carries the cluster's mark (slurmstepd) and everything below it; return how many were found."""
    table = dict(processes())
    found = {pid for pid in table if marked(pid, folder)}
    below = set(found)
    while more := {pid for pid, parent in table.items() if parent in below} - below:
        below |= more
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return len(below)


def processes() -> Iterator[tuple[int, int]]:
    """(pid, its parent) of every living process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                yield int(entry.name), int(parent)


def marked(pid: int, folder: Path) -> bool:
    """Whether the process is one of the cluster's daemons, a slurmstepd of theirs, or a task of one of its jobs."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    task = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
    return f"{MARK}={folder}".encode() in variables or (
        task and f"SLURM_CONF={folder}/slurm.conf".encode() in variables
    )
