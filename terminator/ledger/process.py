"""Who a process is, in a way that a reused process id cannot fake."""

from __future__ import annotations

import os
import socket
import subprocess
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def hostname() -> str:
    """This machine, as attempts name it."""
    return socket.gethostname()


def process_started(pid: int) -> str | None:
    """A word that says when process `pid` began, unlike for any other process of that id; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    if fields[0] in "ZX":  # ended, but its parent has not asked yet
        return None
    return f"{_boot()}/{_namespace()}/{fields[19]}"


@lru_cache(maxsize=1)
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()


@lru_cache(maxsize=1)
def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def is_alive(host: str | None, pid: int | None, started: str | None) -> bool | None:
    """Whether that process still runs; None where that can't be told: on another machine, or in another container."""
    if host is None or pid is None or started is None:
        return False
    if host != hostname() or _in_another_container(started):
        return None
    return process_started(pid) == started


def _in_another_container(started: str) -> bool:
    """Whether the process was counted in another namespace of this machine: its id means another process here."""
    boot, _, rest = started.partition("/")
    namespace, _, _ = rest.rpartition("/")
    return bool(namespace) and boot == _boot() and namespace != _namespace()


def this_process() -> tuple[str, int, str]:
    """Host, process id and start of the calling process."""
    pid = os.getpid()
    return hostname(), pid, process_started(pid) or ""
