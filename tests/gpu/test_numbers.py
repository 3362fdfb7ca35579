"""The GPU comes to the CPU's numbers, in every network family, and in every way of computing them."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from terminator.config import Precision
from terminator.ledger import Attempt, Run
from terminator.model.config import ModelConfig
from terminator.model.networks import architectures
from terminator.model.networks.ckcnn import ContinuousKernelConfig
from terminator.model.networks.large_kernel_cnn import LargeKernelConfig
from terminator.model.networks.resnet import ResNetConfig
from terminator.stop import Stopped
from terminator.training.device import prepare_device
from terminator.training.loop import train
from tests.golden.checks import check_file
from tests.gpu.conftest import DEVICE, REPOSITORY, figure, python
from tests.gpu.runs import MACHINE, SMALL, freeze, small_run, steps
from tests.training.conftest import StopAtCheck, final_weights, finish, numbers

FAMILIES: dict[str, tuple[ModelConfig, tuple[int, ...]]] = {
    "terminator": (SMALL, (3, 16, 16)),
    "terminator, sequences": (SMALL, (1, 64)),
    "resnet": (ResNetConfig(depth=8), (3, 16, 16)),
    "ckcnn": (ContinuousKernelConfig(depth=2, channels=16, dropout=0.0), (3, 16, 16)),
    "large_kernel_cnn": (LargeKernelConfig(depth=2, channels=16), (3, 16, 16)),
}
ONE_BLOCK = replace(SMALL, depth=1, channels=[12], local_kernels=[3], previous_blocks=[[]])  # soon compiled
# Largest relative deviations of the losses of ten steps. Rounding differs, by the order of sums, and training carries
# it on: float32 has 6e-8 for a number, float64 1e-16.
TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-9}
BFLOAT16 = 5e-2
GOLDEN = sorted((REPOSITORY / "tests" / "golden" / "vectors").glob("*.safetensors"))


def largest(losses: list[float], expected: list[float]) -> float:
    """The largest relative deviation."""
    return max(abs(loss - other) / abs(other) for loss, other in zip(losses, expected, strict=True))


def test_every_family_is_here() -> None:
    assert {*architectures()} <= {*FAMILIES, "custom"}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_the_cpus(family: str, dtype: torch.dtype) -> None:
    prepare_device(MACHINE)
    model, shape = FAMILIES[family]
    here, there = (list(map(steps(model, shape, device, dtype), range(10))) for device in ("cpu", DEVICE))
    deviation = largest(there, here)
    figure(f"losses of {family}, {str(dtype).removeprefix('torch.')}", f"{deviation:.1e} from the CPU's")
    assert deviation <= TOLERANCES[dtype], (here, there)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_file(path: Path) -> None:
    prepare_device(MACHINE)
    deviations = check_file(path, DEVICE)
    worst = max(deviations, key=lambda deviation: deviation.value / deviation.tolerance)
    figure(f"golden {path.stem}", f"{worst.value:.1e} in {worst.name}, at most {worst.tolerance:.0e}")
    assert [deviation for deviation in deviations if not deviation.is_within] == []


def test_bfloat16_stays_near_float32() -> None:
    prepare_device(MACHINE)
    exact, coarse = (
        list(map(steps(SMALL, (3, 16, 16), DEVICE, torch.float32, precision=precision), range(10)))
        for precision in (Precision.float32, Precision.bfloat16)
    )
    deviation = largest(coarse, exact)
    figure("losses in bfloat16", f"{deviation:.1e} from float32's")
    assert 0 < deviation <= BFLOAT16, (exact, coarse)


NCCL = """
import sys, torch, torch.distributed as dist
dist.init_process_group("nccl", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
x = torch.arange(8.0, device="cuda")
dist.all_reduce(x)
assert x.tolist() == list(range(8)), x
dist.destroy_process_group()
"""


def test_processes_train_one_run_together(tmp_path: Path) -> None:
    """One process a GPU, which is what NCCL allows. Where there is a single GPU, a process alone exchanges sums."""
    gpus = torch.cuda.device_count() if DEVICE == "cuda" else 2
    if gpus == 1:
        python("-c", NCCL, str(tmp_path / "meeting"), most=60)
        figure("NCCL", "one process alone: a single GPU")
        return
    plain = small_run(tmp_path / "images")
    config = replace(plain, model=replace(SMALL, dropout=[0.0]))
    alone, together = freeze(config, tmp_path / "alone"), freeze(config, tmp_path / "together")
    finish(alone)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(listener.getsockname()[1])}
    if DEVICE == "cpu":
        group["GLOO_SOCKET_IFNAME"] = "lo"
    with ThreadPoolExecutor() as threads:
        ranks = [{**group, "RANK": str(rank), "CUDA_VISIBLE_DEVICES": str(rank)} for rank in range(2)]
        job = ("-m", "terminator.job", str(together.folder))
        list(threads.map(lambda variables: python(*job, most=120, **variables), ranks))
    loss, other = (final_metrics(run)["test_loss"] for run in (alone, together))
    figure("NCCL" if DEVICE == "cuda" else "Gloo", f"two processes: test loss {other:.6f}, alone {loss:.6f}")
    assert other == pytest.approx(loss, rel=1e-3)
    assert Attempt(together, 1).checkpoint_path.exists()


def final_metrics(run: Run) -> dict[str, Any]:
    result = run.result()
    assert result is not None
    return result.metrics


def difference(first: Run, second: Run) -> float:
    """The largest of two runs' final weights; 0 only if results, rows and weights are equal to the bit."""
    weights, others = (final_weights(run) for run in (first, second))
    apart = max(float((weight - others[name]).abs().max()) for name, weight in weights.items())
    same = numbers(final_metrics(first)) == numbers(final_metrics(second)) and [
        numbers(row) for row in first.metrics()
    ] == [numbers(row) for row in second.metrics()]
    return apart if apart or same else float("nan")


FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bfloat16": {"precision": Precision.bfloat16},
    "compiled": {"compile": True},
    "CUDA graphs": {"compile": True, "cuda_graphs": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_stop_and_resume_are_exact(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, as on a CPU: if two undisturbed runs differ already, it is the GPU's order of sums, not the resume.

    The compiled runs go through the whole loop: training, evaluation with fixed kernels, the test of the best epoch.
    """
    if DEVICE == "cpu" and "graphs" in form:
        pytest.skip("CUDA graphs need a GPU")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    config = small_run(tmp_path / "images", **FORMS[form])
    if config.training.compile:
        config = replace(config, model=replace(ONE_BLOCK, dropout=[0.2]))
    undisturbed, again, disturbed = (freeze(config, tmp_path / name) for name in ("undisturbed", "again", "disturbed"))
    for run in (undisturbed, again):
        torch._dynamo.reset()  # each compiles anew, as processes of their own do
        finish(run)
    for check in (3, 6):  # in the first epoch, and in the second
        torch._dynamo.reset()
        attempt = disturbed.begin()
        with pytest.raises(Stopped):
            train(disturbed, attempt, StopAtCheck(1 + check), None)
    torch._dynamo.reset()
    finish(disturbed)
    repeated, resumed = difference(undisturbed, again), difference(undisturbed, disturbed)
    words = ["equal to the bit" if apart == 0 else f"weights {apart:.1e} apart" for apart in (repeated, resumed)]
    figure(f"a run again, {form}", words[0])
    figure(f"a run stopped twice and resumed, {form}", words[1])
    metrics = final_metrics(undisturbed)
    figure(f"test loss of that run, {form}", f"{metrics['test_loss']:.6f}, {peak(metrics)}")
    assert (repeated, resumed) == (0, 0)


def peak(metrics: dict[str, Any]) -> str:
    """A result's peak memory."""
    return f"peak {metrics['peak_memory_bytes'] / 2**20:.0f} MiB"


@pytest.mark.parametrize("form", ["compiled", "CUDA graphs"])
def test_compiled_losses_are_the_others(form: str) -> None:
    """In this process alone the compiler says whether it used CUDA graphs."""
    if DEVICE == "cpu" and form == "CUDA graphs":
        pytest.skip("CUDA graphs need a GPU")
    from torch._dynamo.utils import counters

    prepare_device(MACHINE)
    torch._dynamo.reset()
    counters.clear()
    plain = list(map(steps(ONE_BLOCK, (3, 16, 16), DEVICE, torch.float32), range(10)))
    compiled = list(map(steps(ONE_BLOCK, (3, 16, 16), DEVICE, torch.float32, **FORMS[form]), range(10)))
    deviation, skipped = largest(compiled, plain), counters["inductor"]["cudagraph_skips"]
    figure(f"losses, {form}", f"{deviation:.1e} from those not compiled; {skipped} graphs left out")
    assert deviation <= TOLERANCES[torch.float32], (plain, compiled)
    assert skipped == 0
