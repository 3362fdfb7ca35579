"""Keeping freed memory: its pages are not fetched from the system again and again."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

FETCHES = """
import resource, torch
from terminator.training.device import keep_freed_memory
if {keep}:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_fetched(keep: bool) -> int:
    done = subprocess.run([sys.executable, "-c", FETCHES.format(keep=keep)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_memory_once_fetched_is_used_again() -> None:
    without = pages_fetched(keep=False)
    if without < 10 * 2**26 // resource.getpagesize():
        pytest.skip("this system does not take freed memory back")
    # A system short of memory, or that trims idle processes, may take pages away meanwhile: it does not every time.
    assert any(pages_fetched(keep=True) < without / 2 for _ in range(4))
