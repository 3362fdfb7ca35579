"""CUDA MPS in a job: started, used and stopped, by a stand-in for its control program that writes down its calls."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from terminator.cluster import task
from terminator.cluster.mps import CONTROL, mps

# As NVIDIA's documentation has it: `-d` starts a daemon, else a command is read from standard input.
STAND_IN = """#!/bin/sh
folder=${{CUDA_MPS_PIPE_DIRECTORY:-{usual}}}
[ "$1" = -d ] && command=-d || read command
echo "$command $(stat -c %a $folder) $CUDA_VISIBLE_DEVICES" >> {calls}
case $command in
    -d) touch $folder/control; sleep 60 & echo $! > $folder/pid ;;  # a daemon that keeps the output open
    *) [ -e $folder/control ] || {{ echo "Cannot find MPS control daemon process"; exit 1; }} ;;
esac
[ $command != quit ] || {{ kill $(cat $folder/pid); rm $folder/control; }}
"""
LIBRARY = (
    "int cuInit(unsigned flags) {{ return {code}; }} int cuDevicePrimaryCtxRetain(void *to, int i) {{ return 0; }}"
)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with MPS: its folder, with the stand-in's calls, and the usual place of a daemon."""
    install(tmp_path, monkeypatch)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    for name, value in {"CUDA_VISIBLE_DEVICES": "5,7", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def install(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the stand-in on the PATH."""
    (node / "usual").mkdir(mode=0o755)
    control = node / CONTROL
    control.write_text(STAND_IN.format(usual=node / "usual", calls=node / "calls"))
    control.chmod(control.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{node}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(node))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)


def driver(node: Path, code: int) -> None:
    """Give the node a CUDA driver whose `cuInit` returns `code`."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    command = [compiler, "-shared", "-x", "c", "-o", node / "libcuda.so.1", "-"]
    subprocess.run(command, input=LIBRARY.format(code=code), text=True, check=True)


def calls(node: Path) -> list[str]:
    return (node / "calls").read_text().splitlines()


def test_a_job_has_a_daemon_of_its_own_as_long_as_its_runs(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver(node, 0)
    with task._shared_gpus(3) as variables:
        folder = Path(variables["CUDA_MPS_PIPE_DIRECTORY"])
        assert (variables["CUDA_MPS_LOG_DIRECTORY"], folder.parent) == (str(folder), node)
        assert (folder / "control").exists()
        visible = [task._gpu(place, renumbered=True)["CUDA_VISIBLE_DEVICES"] for place in range(3)]
        assert visible == ["0", "1", "0"]  # of the daemon's, which are 5 and 7
    assert calls(node) == ["get_server_list 755 5,7", "-d 700 5,7", "quit 700 5,7"]
    assert not folder.exists()
    assert capsys.readouterr().out == "terminator: 3 runs share 2 GPUs by CUDA MPS, through a daemon of this job\n"


def test_a_daemon_that_the_node_has_is_used_and_left_alone(
    node: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (node / "admin").mkdir()
    (node / "admin" / "control").touch()
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(node / "admin"))
    with mps("4 runs share 1 GPU") as variables:
        assert variables == {}
    assert (node / "admin" / "control").exists()
    assert [call.split()[0] for call in calls(node)] == ["get_server_list"]
    assert (
        capsys.readouterr().out == "terminator: 4 runs share 1 GPU by CUDA MPS, through the daemon that this node has\n"
    )


def test_a_daemon_that_cannot_serve_is_not_used(node: Path, capsys: pytest.CaptureFixture[str]) -> None:
    driver(node, 805)
    with mps("4 runs share 1 GPU") as variables:
        assert variables == {}
    assert calls(node)[-1].split()[0] == "quit"
    said = capsys.readouterr().out
    assert said.startswith("terminator: 4 runs share 1 GPU without CUDA MPS: ")
    assert said.endswith("cuInit failed\n")


def test_without_mps_the_job_says_so(
    node: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(node / "usual"))
    with task._shared_gpus(3) as variables:
        assert variables == {}
    assert capsys.readouterr().out == (
        f"terminator: 3 runs share 2 GPUs without CUDA MPS: {CONTROL} is not on the PATH\n"
    )
    with task._shared_gpus(2):  # a GPU each
        assert [task._gpu(place, renumbered=False) for place in (0, 1)] == [
            {"CUDA_VISIBLE_DEVICES": "5"},
            {"CUDA_VISIBLE_DEVICES": "7"},
        ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with task._shared_gpus(3):
        pass
    assert capsys.readouterr().out == ""
