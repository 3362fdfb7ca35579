"""CUDA MPS, with which the kernels of several processes run on a GPU side by side rather than in turns."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

CONTROL = "nvidia-cuda-mps-control"
PATIENCE = 10.0  # seconds for a command
# Exits with 0 if a program gets at the GPU: where a daemon starts and yet cannot serve, every run would fail.
PROBE = """
import ctypes, sys
cuda, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
sys.exit(cuda.cuInit(0) and "cuInit failed" or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) and "no context")
"""


@contextlib.contextmanager
def mps(sharing: str) -> Iterator[dict[str, str]]:
    """Start MPS for processes of this job, and stop it in the end. Prints a line: whether it is used, or why not.

    Yields the variables with which a process uses the job's own daemon, which numbers the job's GPUs from 0 (NVIDIA,
    Multi-Process Service, CUDA_VISIBLE_DEVICES). None where there is no MPS that works, and where a daemon answers
    already: an administrator's, which is used and left alone. `sharing`: who shares what, for the line.
    """
    environment = dict(os.environ)
    if shutil.which(CONTROL) is None:
        print(f"terminator: {sharing} without CUDA MPS: {CONTROL} is not on the PATH", flush=True)
        yield {}
    elif _call([CONTROL], environment, "get_server_list") is None:
        print(f"terminator: {sharing} by CUDA MPS, through the daemon that this node has", flush=True)
        yield {}
    else:
        # Its sockets need a short path of this very machine; nobody else can read the folder.
        with tempfile.TemporaryDirectory(prefix="terminator-mps-", ignore_cleanup_errors=True) as folder:
            own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
            client = environment | own | {"CUDA_VISIBLE_DEVICES": "0"}
            try:
                problem = _call([CONTROL, "-d"], environment | own) or _call([sys.executable, "-c", PROBE], client)
                how = f"without CUDA MPS: {problem}" if problem else "by CUDA MPS, through a daemon of this job"
                print(f"terminator: {sharing} {how}", flush=True)
                yield {} if problem else own
            finally:
                if (problem := _call([CONTROL], environment | own, "quit")) and os.path.exists(f"{folder}/control"):
                    print(f"terminator: CUDA MPS did not stop: {problem}", flush=True)


def _call(command: list[str], environment: Mapping[str, str], line: str = "") -> str | None:
    """Give the command this line. Returns None where it succeeds, else what it says."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:  # no pipe: a daemon would keep it open
        try:
            done = subprocess.run(
                command,
                input=f"{line}\n".encode(),
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        output.seek(0)
        said = output.read().strip()
    if done.returncode == 0 and not said.startswith("Cannot find MPS"):
        return None
    return f"{Path(command[0]).name}: {said.splitlines()[-1] if said else f'exit code {done.returncode}'}"
