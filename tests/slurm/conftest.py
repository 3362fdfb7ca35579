"""A real SLURM for these tests: slurm/dev-cluster, one for the session and more on request."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEV_CLUSTER = HERE.parents[1] / "slurm" / "dev-cluster"
DAEMON_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slurm)
    items.sort(key=lambda item: item.path.name != "test_storm.py")  # the longest first, beside which the others fit


@dataclass(frozen=True)
class Cluster:
    """A running dev-cluster and its folder."""

    folder: Path

    def daemon(self, action: str, name: str) -> None:
        """Take a daemon `down` or bring it `up`."""
        subprocess.run([sys.executable, DEV_CLUSTER, action, name, "--dir", self.folder], check=True)

    def run(self, *command: str, patience: float | None = None) -> str:
        """The output of one of SLURM's commands on this cluster."""
        variables = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=variables, timeout=patience)
        return done.stdout

    def try_run(self, *command: str) -> None:
        """A command that may come too late: its job may be ending, on which scancel waits for long."""
        with contextlib.suppress(subprocess.CalledProcessError, subprocess.TimeoutExpired):
            self.run(*command, patience=3)

    def wait(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Until `condition` holds; requeued jobs are spared SLURM's two minutes of delay meanwhile."""
        deadline = time.monotonic() + seconds
        hurried = -math.inf
        while not condition():
            assert time.monotonic() < deadline, self.run("squeue", "-a")
            if time.monotonic() - hurried > 2:
                self.hurry()
                hurried = time.monotonic()
            time.sleep(0.1)

    def hurry(self) -> None:
        """Let requeued jobs start now: SLURM holds each for two minutes otherwise."""
        for job in self.run("squeue", "-h", "-r", "-t", "PD", "-o", "%i %r").splitlines():
            number, reason = job.split(maxsplit=1)
            if reason == "BeginTime":
                self.try_run("scontrol", "update", f"JobId={number}", "StartTime=now")


def require_slurm() -> None:
    """Skip where SLURM is not installed; fail where TERMINATOR_REQUIRE_SLURM=1 says that it has to be."""
    path = os.environ["PATH"] + os.pathsep + DAEMON_FOLDERS
    if all(shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd", "sbatch")):
        return
    message = "no SLURM here; on Debian: apt-get install munge slurmctld slurmd slurm-client"
    if os.environ.get("TERMINATOR_REQUIRE_SLURM") == "1":
        pytest.fail(message)
    pytest.skip(message)


@contextlib.contextmanager
def running_cluster(folder: Path, *options: str) -> Iterator[Cluster]:
    """A cluster in `folder`, started with further options of `dev-cluster start`."""
    subprocess.run([sys.executable, DEV_CLUSTER, "start", "--dir", folder, *options], check=True)
    try:
        yield Cluster(folder)
    finally:
        subprocess.run([sys.executable, DEV_CLUSTER, "stop", "--dir", folder], check=True)


@pytest.fixture(scope="session")
def start_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Cluster]]:
    """Start a cluster with further options of `dev-cluster start`. All are stopped when the session ends."""
    require_slurm()
    with contextlib.ExitStack() as clusters:
        yield lambda *options: clusters.enter_context(running_cluster(tmp_path_factory.mktemp("slurm") / "c", *options))


@pytest.fixture(scope="session")
def shared_cluster(start_cluster: Callable[..., Cluster]) -> Cluster:
    return start_cluster()


@pytest.fixture
def cluster(shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The session's cluster, with SLURM_CONF pointing to it; its jobs are cancelled after the test."""
    monkeypatch.setenv("SLURM_CONF", str(shared_cluster.folder / "slurm.conf"))
    yield shared_cluster
    shared_cluster.run("scancel", "--user", str(os.geteuid()))
    shared_cluster.wait(lambda: not shared_cluster.run("squeue", "-h"))
