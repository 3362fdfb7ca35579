"""The device and what makes it deterministic."""

from __future__ import annotations

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


def test_peak_memory_in_bytes() -> None:
    in_use = psutil.Process().memory_info().rss
    assert 0.9 * in_use < peak_memory_bytes(torch.device("cpu")) < 100 * in_use  # the kernel counts in strides


def test_peak_memory_is_that_of_this_process_not_of_the_one_that_started_it() -> None:
    large = bytearray(2**30)
    measure = "from terminator.training.device import peak_resident_bytes; print(peak_resident_bytes())"
    child = subprocess.run([sys.executable, "-c", measure], capture_output=True, text=True, check=True)
    assert 2**20 < int(child.stdout) < len(large) / 2
