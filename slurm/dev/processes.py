"""Find the cluster's own processes in /proc, so that no other process is ever ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# An environment variable of every daemon, inherited by every slurmstepd.
MARKER = "TERMINATOR_DEV_CLUSTER"


def start_time(pid: int) -> str | None:
    """A process's start time, which distinguishes it from later processes with the same id; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def kill_jobs(folder: Path) -> int:
    """Kill the marked processes (slurmstepd) and their descendants. Returns the number found."""
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
    """Yield (pid, parent pid) of every living process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                yield int(entry.name), int(parent)


def marked(pid: int, folder: Path) -> bool:
    """Whether the process is a daemon of this cluster, a slurmstepd, or a task of one of its jobs."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    task = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
    return f"{MARKER}={folder}".encode() in variables or (
        task and f"SLURM_CONF={folder}/slurm.conf".encode() in variables
    )
