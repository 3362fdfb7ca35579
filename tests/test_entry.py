"""How commands begin and end, in processes of their own that import next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

START = "import sys; from terminator.entry import start; start('command')"
INTERRUPT = "import os, signal; os.kill(os.getpid(), signal.SIGINT)\n"
IN_A_CALLBACK = f"import weakref\nclass A: pass\na = A()\ndef say(_):\n  {INTERRUPT}\nr = weakref.ref(a, say)\ndel a\n"
AT_WORK = f"""
from terminator.entry import interruptible
def main():
    try:
        with interruptible():
            {INTERRUPT}
    finally:
        print("stopped in order")
"""


def _start(folder: Path, command: str, **options: object) -> tuple[int, bytes, bytes]:
    (folder / "command.py").write_text(command)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen([sys.executable, "-c", START], env=environment, **pipes)  # type: ignore[call-overload]
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (f"{INTERRUPT}def main(): print('goes on')", b""),
        (f"def main():\n  print('before')\n  {INTERRUPT}", b"before\n"),
        (f"{IN_A_CALLBACK}def main(): print('goes on')", b""),  # where an exception is printed, and forgotten
        (AT_WORK, b"stopped in order\n"),
    ],
)
def test_ctrl_c_is_one_line_at_any_moment(tmp_path: Path, command: str, out: bytes) -> None:
    assert _start(tmp_path, command) == (130, out, b"terminator: interrupted\n")


@pytest.mark.parametrize("module", ["analysis.report", "analysis.claims", "terminator.inspect", "terminator.loading"])
def test_ctrl_c_while_python_m_imports_is_one_line(tmp_path: Path, module: str) -> None:
    for heavy in ("numpy", "torch"):  # the first of them that is imported interrupts
        (tmp_path / f"{heavy}.py").write_text(INTERRUPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"terminator: interrupted\n")


def test_output_that_nobody_reads_ends_a_command_without_a_word(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code, _, err = _start(tmp_path, "def main(): print('x')", stdout=writing)
    os.close(writing)
    assert (code, err) == (141, b"")


def test_output_to_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        code, _, err = _start(tmp_path, "def main(): print('x')", stdout=full)
    assert (code, err) == (2, b"terminator: standard output: No space left on device\n")


def test_commands_heed_ctrl_c_before_they_import_what_takes_seconds() -> None:
    modules = ("terminator.__main__", "terminator.run.__main__", "terminator.sweeps.__main__")
    code = (
        f"import sys, {', '.join(modules)}; print([each for each in sys.modules if each in ('hydra', 'rich', 'json')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
