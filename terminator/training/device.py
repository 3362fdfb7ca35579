"""Where a run computes, set up so that the same seed gives the same numbers."""

from __future__ import annotations

import os

import torch

from terminator.config import Device, MachineConfig
from terminator.errors import UserError
from terminator.model.host_memory import keep_freed_memory, peak_resident_bytes


def prepare_device(config: MachineConfig) -> torch.device:
    """Choose the device, set threads, and make PyTorch deterministic. Changes settings of the whole process.

    Raises UserError where `machine.device` asks for a GPU that is not there.
    """
    available = torch.cuda.is_available()
    if config.device is Device.cuda and not available:
        raise UserError("machine.device=cuda: PyTorch sees no GPU on this machine; choose auto or cpu")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    use_cuda = available and config.device is not Device.cpu
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    # Some CUDA kernels have no deterministic form (adaptive pooling's backward): there it warns and goes on.
    torch.use_deterministic_algorithms(True, warn_only=use_cuda)
    # The one part of it that costs time, to no end here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32
    return torch.device("cuda" if use_cuda else "cpu")


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory in use so far: the GPU's by PyTorch, or else the process's resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()
