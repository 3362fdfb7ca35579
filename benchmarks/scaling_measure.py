"""What one pass of a network costs: time, memory, FLOPs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

Step = Callable[[], None]


def step_of(network: nn.Module, images: Tensor, *, backward: bool) -> Step:
    """One forward pass in training mode, with gradients and a backward pass of the cross-entropy where asked."""
    labels = torch.zeros(len(images), dtype=torch.long, device=images.device)

    def step() -> None:
        with torch.set_grad_enabled(backward):
            output = network(images)
            logits = output if isinstance(output, Tensor) else output.logits
            if backward:
                F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
                network.zero_grad()

    return step


def seconds(step: Step, device: torch.device, repetitions: int, clock: Callable[[], float]) -> list[float]:
    """Time of each repetition by `clock`."""
    times = []
    for _ in range(repetitions):
        _finish(device)
        began = clock()
        step()
        _finish(device)
        times.append(clock() - began)
    return times


def peak_memory(step: Step, device: torch.device) -> int:
    """Bytes that one step allocates at its peak, beyond what is there before it."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    # The allocator's own events: resident size would say little of steps smaller than what Python and MKL hold.
    events = profiled.profiler.kineto_results.events()
    total = peak = 0
    for event in sorted((each for each in events if each.name() == "[memory]"), key=lambda each: each.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
