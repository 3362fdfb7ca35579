"""How the C library treats the memory that tensors free."""

from __future__ import annotations

import ctypes
import sys

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
