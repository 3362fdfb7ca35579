"""The device, what makes it deterministic, its memory, and freed memory that is kept for later."""

from __future__ import annotations

import resource
import subprocess
import sys

import psutil
import pytest
import torch

from terminator.config import Device, MachineConfig
from terminator.errors import UserError
from terminator.training.device import peak_memory_bytes, prepare_device


def printed(code: str) -> int:
    """What a Python process of its own prints."""
    return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout)


def test_cpu_on_demand() -> None:
    assert prepare_device(MachineConfig(device=Device.cpu, threads=1)) == torch.device("cpu")
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu() -> None:
    assert prepare_device(MachineConfig(device=Device.auto)) == torch.device("cpu")
    with pytest.raises(
        UserError, match=r"^machine.device=cuda: PyTorch sees no GPU on this machine; choose auto or cpu"
    ):
        prepare_device(MachineConfig(device=Device.cuda))


def test_peak_memory_in_bytes() -> None:
    in_use = psutil.Process().memory_info().rss
    assert 0.9 * in_use < peak_memory_bytes(torch.device("cpu")) < 100 * in_use  # the kernel counts in strides


def test_peak_memory_is_that_of_this_process_not_of_the_one_that_started_it() -> None:
    large = bytearray(2**30)
    measure = "from terminator.training.device import peak_resident_bytes; print(peak_resident_bytes())"
    assert 2**20 < printed(measure) < len(large) / 2


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
    return printed(FETCHES.format(keep=keep))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_memory_once_fetched_is_used_again() -> None:
    without = pages_fetched(keep=False)
    if without < 10 * 2**26 // resource.getpagesize():
        pytest.skip("this system does not take freed memory back")
    # A system short of memory, or that trims idle processes, may take pages away meanwhile: it does not every time.
    assert any(pages_fetched(keep=True) < without / 2 for _ in range(4))
