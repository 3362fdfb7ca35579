"""`make test-gpu`: what takes a GPU to check, in at most ten minutes, with a table of what was measured at the end.

TERMINATOR_REQUIRE_GPU=1 ends the tests at once where there is no GPU, else they are skipped there. With
TERMINATOR_GPU_DEVICE=cpu they run on the CPU, to try them out; TERMINATOR_GPU_FIGURES names a file for the table.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
DEVICE = os.environ.get("TERMINATOR_GPU_DEVICE", "cuda")
SECONDS = 570.0  # of the ten minutes that all checks have together
PACKAGES = ("torch", "numpy", "omegaconf", "rich", "safetensors")
BEGAN = time.monotonic()
FIGURES: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("TERMINATOR_REQUIRE_GPU") == "1" and (missing := _missing()):
        pytest.exit(missing, returncode=1)


def _missing() -> str | None:
    packages = [name for name in PACKAGES if find_spec(name) is None]
    if packages:
        return f"{sys.executable} lacks {', '.join(packages)}: see docs/speed.md, GPUs"
    import torch

    if DEVICE == "cuda" and not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        return f"no GPU here: PyTorch {torch.__version__} of {sys.executable}, {built}, sees none"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if FIGURES:
        terminalreporter.section(f"figures, {time.monotonic() - BEGAN:.0f} s")
        for line in FIGURES:
            terminalreporter.write_line(line)


def figure(name: str, value: str) -> None:
    """Add a line to the table, and at once to the file, for the case that the tests are cut off."""
    FIGURES.append(f"{name:44s} {value}")
    if path := os.environ.get("TERMINATOR_GPU_FIGURES"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{FIGURES[-1]}\n")


def seconds_left(most: float = SECONDS) -> float:
    """Of the time that all checks have together, at most `most`. Fails where there is none."""
    left = SECONDS - (time.monotonic() - BEGAN)
    if left < 5:
        pytest.fail(f"not checked: the {SECONDS:.0f} s of all checks are over")
    return min(left, most)


def python(*words: str, most: float, **variables: str) -> str:
    """What `python WORDS` prints in the repository. Fails where it fails or takes too long, with all it has printed."""
    limit = seconds_left(most)
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=REPOSITORY,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        pytest.fail(f"{' '.join(words)}: still running after {limit:.0f} s\n{printed}")
    if done.returncode:
        pytest.fail(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


@pytest.fixture(scope="session", autouse=True)
def machine() -> None:
    """Skips without a GPU; says what the figures are of."""
    if missing := _missing():
        pytest.skip(missing)
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if DEVICE == "cuda" else ["no GPU"]
    versions = f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}, Python {sys.version.split()[0]}"
    figure("machine", f"{', '.join(gpus)}; {os.cpu_count()} CPUs; {versions}")


@pytest.fixture(scope="session", autouse=True)
def compilation(
    request: pytest.FixtureRequest, machine: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """What is compiled in the background from the first check on, where it will be timed; else None."""
    if DEVICE == "cpu" or not any(item.path.name == "test_speed.py" for item in request.session.items):
        yield None
        return
    from tests.gpu.compilation import Compilation

    compilation = Compilation(tmp_path_factory.mktemp("compiled"))
    yield compilation
    compilation.end()


@pytest.fixture(autouse=True)
def in_time() -> None:
    seconds_left()


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run sets threads and determinism for its whole process; the next check gets its own. Facts about data that
    were found out are kept in the test's own folder."""
    import torch

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
