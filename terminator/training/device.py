"""Where a run computes, set up so that the same seed gives the same numbers."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

import torch

from terminator.config import Device, MachineConfig
from terminator.errors import UserError


def prepare_device(config: MachineConfig, *, compiled: bool = False, cuda_graphs: bool = False) -> torch.device:
    """Choose the device, set threads, and make PyTorch deterministic. Changes settings of the whole process.

    Raises what `check_device` raises.
    """
    check_device(config, cuda_graphs=cuda_graphs)
    available = torch.cuda.is_available()
    torch.set_num_threads(config.threads)
    use_cuda = available and config.device is not Device.cpu
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    # Some CUDA kernels have no deterministic form (adaptive pooling's backward): there it warns and goes on.
    if compiled:
        torch.use_deterministic_algorithms(True, warn_only=use_cuda)
    else:  # the same for all that is not compiled, without importing the compiler, which takes seconds
        torch.set_deterministic_debug_mode("warn" if use_cuda else "error")
    # The one part of it that costs time, to no end here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32
    return torch.device("cuda" if use_cuda else "cpu")


def check_device(config: MachineConfig, *, cuda_graphs: bool = False) -> None:
    """Raises UserError where `machine.device` or `cuda_graphs` asks for a GPU that this machine has not."""
    if config.device is Device.cuda and not torch.cuda.is_available():
        raise UserError("machine.device=cuda: PyTorch sees no GPU on this machine; choose auto or cpu")
    if cuda_graphs and not torch.cuda.is_available():
        raise UserError("training.cuda_graphs=true: PyTorch sees no GPU on this machine; must be false here")


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory in use so far: the GPU's by PyTorch, or else the process's resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


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
