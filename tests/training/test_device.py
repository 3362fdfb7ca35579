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
    with pytest.raises(UserError, match=r"^training.cuda_graphs=true: PyTorch sees no GPU on this machine"):
        prepare_device(MachineConfig(device=Device.auto), cuda_graphs=True)


def test_peak_memory_in_bytes() -> None:
    in_use = psutil.Process().memory_info().rss
    assert 0.9 * in_use < peak_memory_bytes(torch.device("cpu")) < 100 * in_use  # the kernel counts in strides


FETCHES = """
import resource, torch
from terminator.training.device import keep_freed_memory, peak_resident_bytes
def pages_fetched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(6):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
peak = peak_resident_bytes()
without = pages_fetched()
keep_freed_memory()
# A system short of memory, or that trims idle processes, may take pages away meanwhile: it does not every time.
print(peak, without, min(pages_fetched() for _ in range(4)))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_peak_memory_is_a_process_s_own_and_memory_once_fetched_is_used_again() -> None:
    large = bytearray(2**30)  # of the process that starts the other
    answer = subprocess.run([sys.executable, "-c", FETCHES], stdout=subprocess.PIPE, check=True).stdout
    peak, without, kept = map(int, answer.split())
    assert 2**20 < peak < len(large) / 2
    if without < 3 * 2**26 // resource.getpagesize():
        pytest.skip("this system does not take freed memory back")
    assert kept < without / 2
