"""A process that trains `tiny` on random images: `python -m tests.gpu.side_by_side DEVICE`.

It prints "ready"; then, for every number of seconds that it reads, how many steps it took in that time.
"""

from __future__ import annotations

import sys
import time

import torch

from benchmarks.cases import CASES
from terminator.config import Device, MachineConfig
from terminator.training.device import prepare_device
from tests.gpu.runs import steps


def main() -> None:
    device = sys.argv[1]
    prepare_device(MachineConfig(Device(device)))
    case = CASES["tiny"]
    step = steps(case.config, case.image_shape, device, torch.float32, batch=case.batch)
    for number in range(10):
        step(number)
    print("ready", flush=True)
    for line in sys.stdin:
        taken, until = 0, time.perf_counter() + float(line)
        while time.perf_counter() < until:
            step(taken % 1000)  # which waits for the GPU, to read the loss
            taken += 1
        print(taken, flush=True)


if __name__ == "__main__":
    main()
