"""Timing forms against each other, each in a process of its own, in turns: what disturbs the machine disturbs all."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

from terminator.training.device import peak_resident_bytes

Step = Callable[[], None]


class Measured(NamedTuple):
    """Median seconds of a step, and the process's peak memory in bytes: the GPU's where there is one."""

    seconds: float
    peak_memory: int


def measure(
    makers: Mapping[str, Callable[..., Step]], arguments: Mapping[str, tuple[object, ...]], *, rounds: int, threads: int
) -> dict[str, Measured]:
    """Run `makers[name](*arguments[name])` in a process each, then its step once a round, in turns."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes = []
    for name, maker in makers.items():
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, maker, arguments[name], threads), daemon=True))
        processes[-1].start()
        pipes[name].recv()  # ready: one at a time, so that no one's start disturbs another's
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds[name].append(pipe.recv())
    measured = {}
    for name, pipe in pipes.items():
        pipe.send(False)
        measured[name] = Measured(statistics.median(seconds[name]), pipe.recv())
    for process in processes:
        process.join()
    return measured


def _serve(pipe: Connection, maker: Callable[..., Step], arguments: tuple[object, ...], threads: int) -> None:
    torch.set_num_threads(threads)
    step = maker(*arguments)
    for _ in range(2):  # memory is allocated, kernels are chosen
        step()
    pipe.send(None)
    while pipe.recv():
        began = time.perf_counter()
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        pipe.send(time.perf_counter() - began)
    on_gpu = torch.cuda.is_available()
    pipe.send(torch.cuda.max_memory_allocated() if on_gpu else peak_resident_bytes())


def matrix_product(device: str) -> Step:
    """A step that shows the machine's peak: a square matrix product in float32."""
    a = torch.randn(PEAK_SIZE, PEAK_SIZE, device=device)
    out = torch.empty_like(a)

    def step() -> None:
        torch.mm(a, a, out=out)

    return step


PEAK_SIZE = 2048
PEAK_FLOPS = 2 * PEAK_SIZE**3
