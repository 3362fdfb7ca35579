"""How fast the GPU is: training steps in all forms, runs side by side, and `release` on images of CIFAR's size."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from benchmarks.cases import CASES
from terminator.cluster.mps import mps
from terminator.config import Precision, RunConfig, TrainingConfig
from terminator.data.config import FolderConfig
from terminator.ledger import EXIT_CODES, Attempt, RunState
from terminator.training.checkpoint import load_checkpoint
from tests.gpu.compilation import COMPILED, EAGER, Compilation, step_words
from tests.gpu.conftest import DEVICE, REPOSITORY, figure, python, seconds_left
from tests.gpu.runs import MACHINE, freeze, images_folder

ON_GPU = DEVICE == "cuda"
RUN_SECONDS = 15.0 if ON_GPU else 4.0
SIDE_BY_SIDE_SECONDS = 3.0 if ON_GPU else 1.0
IMAGES = 50_000 if ON_GPU else 500
RUNS = (1, 2, 4)


@pytest.fixture(autouse=True)
def quiet(compilation: Compilation | None) -> None:
    """Nothing else computes on this machine."""
    if compilation is not None:
        compilation.wait()


@pytest.mark.parametrize("precision", Precision, ids=lambda precision: precision.value)
def test_release_on_images_of_cifars_size(precision: Precision, tmp_path: Path) -> None:
    """One epoch, or what a job does of it until it is preempted."""
    data = images_folder(tmp_path / "images", IMAGES, (3, 32, 32), 10)
    data = FolderConfig(**{**vars(data), "crop_padding": 4, "horizontal_flip": True})
    config = RunConfig(
        model=CASES["release"].config,
        data=data,
        training=TrainingConfig(epochs=1, warmup_epochs=0.5, batch_size=64 if ON_GPU else 8, precision=precision),
        machine=MACHINE,
    )
    run = freeze(config, tmp_path / "root")
    log = tmp_path / "log"
    with open(log, "w") as output:
        job = [sys.executable, "-m", "terminator.job", str(run.folder)]
        process = subprocess.Popen(job, cwd=REPOSITORY, stdout=output, stderr=output)
    try:
        while process.poll() is None and not any(attempt.progress for attempt in run.attempts()):
            seconds_left()
            time.sleep(0.1)
        until = time.monotonic() + seconds_left(RUN_SECONDS)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        process.terminate()
        code = process.wait(seconds_left(60))
    finally:
        process.kill()
    assert code in (0, EXIT_CODES[RunState.preempted]), log.read_text()
    if (result := run.result()) is not None:
        rate, memory, how = result.metrics["images_per_second"], result.metrics["peak_memory_bytes"], "a whole epoch"
    else:
        state = load_checkpoint(Attempt(run, 1).checkpoint_path)["state"]
        rate, memory, how = (
            state["images"] / state["train_seconds"],
            state["peak_memory_bytes"],
            f"{state['step']} steps",
        )
    epoch = f"{IMAGES * 0.8 / rate:.0f} s for an epoch" if ON_GPU else "of a few"
    figure(f"release, {precision.value}", f"{rate:.0f} images/s, {epoch}, peak {memory / 2**20:.0f} MiB ({how})")
    assert rate > 0


def test_runs_side_by_side(capfd: pytest.CaptureFixture[str]) -> None:
    """`tiny`, as `cluster.runs_per_gpu` runs it, without MPS and with it."""
    without = throughput({})
    assert min(without.values()) > 0
    show("without MPS", without)
    with mps("runs share this GPU") as variables:
        said = capfd.readouterr().out.strip()
        if not variables:
            pytest.skip(said or "no MPS")
        visible = {"CUDA_VISIBLE_DEVICES": "0"} if "CUDA_VISIBLE_DEVICES" in os.environ else {}
        by_mps = throughput({**variables, **visible})
    show("by MPS", by_mps)
    assert min(by_mps.values()) > 0


def show(how: str, rates: Mapping[int, float]) -> None:
    parts = (f"{count}: {rate:.0f} ({rate / rates[1]:.2f}×)" for count, rate in rates.items())
    figure(f"steps/s of tiny, runs side by side {how}", ", ".join(parts))


def throughput(variables: Mapping[str, str]) -> dict[int, float]:
    """Steps per second of so many runs at once, all together."""
    with ExitStack() as stack:
        runs = [stack.enter_context(side(variables)) for _ in range(max(RUNS))]
        for run in runs:
            assert answer(run) == "ready"
        rates = {}
        for count in RUNS:
            for run in runs[:count]:
                assert run.stdin is not None
                run.stdin.write(f"{SIDE_BY_SIDE_SECONDS}\n")
                run.stdin.flush()
            rates[count] = sum(int(answer(run)) for run in runs[:count]) / SIDE_BY_SIDE_SECONDS
        return rates


@contextmanager
def side(variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.side_by_side", DEVICE],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    limit = threading.Timer(seconds_left(120), process.kill)  # one that hangs ends the wait for its line
    limit.start()
    try:
        yield process
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


def answer(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    line = run.stdout.readline().strip()
    assert line, f"a run ended with {run.wait()} or did not answer"
    return line


@pytest.mark.parametrize("case", ["tiny", "release"])
def test_training_steps(case: str) -> None:
    report(case, python(*step_words(case, EAGER, rounds=15 if ON_GPU else 1), most=120))


@pytest.mark.skipif(not ON_GPU, reason="compiled forms are timed on a GPU")
@pytest.mark.parametrize(("case", "form"), COMPILED)
def test_compiled_training_steps(case: str, form: str, compilation: Compilation) -> None:
    """Beside the plain form. What the compiler left in its cache is used: the figure is what that saves."""
    began = time.monotonic()
    report(case, python(*step_words(case, [form], rounds=15), most=120, **compilation.environment))
    first = compilation.seconds.get((case, form))
    beginning = f"{first:.0f} s" if first else "not in time"
    figure(
        f"compilation of {case}, {form}", f"{beginning} beside others, {time.monotonic() - began:.0f} s from the cache"
    )


def report(case: str, printed: str) -> None:
    """What the benchmark prints: a title, then a line for each form."""
    title, *lines = [line for line in printed.splitlines() if "images/s" in line or line.startswith("training step")]
    assert lines, printed
    for line in lines:
        form, numbers = line.split(maxsplit=1)
        figure(f"step of {case}, {form}", numbers)
    figure(f"step of {case}", title.partition(", batch ")[2])
