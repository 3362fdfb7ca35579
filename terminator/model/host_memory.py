"""The memory of this process: how the C library treats what tensors free, and how much there was at most."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's names, <malloc.h>
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process reuse freed memory rather than hand it back to the system and fetch it again, page by page.

    On a CPU a step allocates the same large tensors over and over: this is a quarter of the time of a forward pass of
    the release. Does nothing where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, LARGEST)


def peak_resident_bytes() -> int:
    """The most memory that this process has had resident so far."""
    if not sys.platform.startswith("linux"):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others KiB
    # Linux's getrusage counts what the process that started this one had; the status file does not.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024
