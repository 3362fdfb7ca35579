"""The whole way, as a user goes it: plan, submit, leave, come back."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from terminator.ledger import Ledger, Sweep
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import REPOSITORY, all_done, command, determined, jobs_of, runs_of

NARROW = ("model.channels=[12]", "model.previous_blocks=[[]]", "model.local_kernels=[3]", "training.batch_size=256")
SHORT = (*NARROW, "training.epochs=1", "machine.device=cpu", "tracking.enabled=false")
OFF = [f"model.branches.{name}=false" for name in ("si_glu", "global_gated", "global_mixed", "global_channel", "local")]
POINTWISE = (*SHORT, *OFF, "model.branches.gated=false", "model.branches.interaction=false")


def newest(root: Path) -> tuple[Ledger, Sweep]:
    ledger = Ledger(root)
    return ledger, ledger.sweeps()[0]


def test_an_ablation_on_slurm_equals_the_one_here(cluster: Cluster, tmp_path: Path) -> None:
    words = ("-m", "ablation=gating", "seed=0", *SHORT)
    here = command("terminator.run", *words, f"root={tmp_path}/here", "sweep.workers=2")
    assert here.returncode == 0, here.stderr
    there = command("terminator.run", *words, f"root={tmp_path}/there", "cluster=dev", "sweep.wait=true")
    assert there.returncode == 0, there.stderr
    ledger, sweep = newest(tmp_path / "there")
    reference, same = newest(tmp_path / "here")
    assert sweep.id == same.id
    assert {job.state for job in jobs_of(ledger, sweep).values()} == {"COMPLETED"}
    for run in runs_of(ledger, sweep):
        assert determined(run) == determined(reference.run(run.key))
    said = command("terminator.sweeps", "status", "--root", str(tmp_path / "there"))
    assert f"{len(sweep.keys())} done" in said.stdout


def test_the_submitter_is_killed_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    words = ["terminator.run", "-m", "seed=0,1", *POINTWISE, f"root={tmp_path}", "cluster=dev", "sweep.wait=true"]
    with subprocess.Popen(
        [sys.executable, "-m", *words], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        assert any("2 runs queued in 2 jobs" in line for line in process.stdout)
        process.kill()
    ledger, sweep = newest(tmp_path)
    assert len(jobs_of(ledger, sweep)) == 2
    again = command("terminator.sweeps", "retry", "--root", str(tmp_path))
    assert (again.returncode, again.stdout) == (0, f"{sweep.id}: nothing to run again\n"), again.stderr
    cluster.wait(lambda: all_done(ledger, sweep), 120)
    said = command("terminator.sweeps", "status", "--root", str(tmp_path))
    assert "2 done" in said.stdout
    assert {len(run.attempts()) for run in runs_of(ledger, sweep)} == {1}


def test_hydras_own_launcher_still_works(cluster: Cluster, tmp_path: Path) -> None:
    launcher = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=3", "hydra.launcher.mem_gb=1")
    said = command(
        "terminator.run", "-m", "seed=0", *POINTWISE, f"root={tmp_path}", *launcher, TERMINATOR_ROOT=f"{tmp_path}"
    )
    assert said.returncode == 0, said.stderr
    assert all_done(*newest(tmp_path))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["cluster=nowhere"], "cluster=nowhere: no such cluster; choose from cpu, dev, example"),
        (["cluster=dev", "cluster.timeout_min=soon"], "cluster.timeout_min: Value 'soon' of type 'str' could not be"),
        (
            ["cluster=dev", "cluster.partition=nowhere"],
            "cluster: SLURM refuses jobs of this profile: invalid partition specified: nowhere; allocation failure: "
            "Invalid partition name specified",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    cluster: Cluster, tmp_path: Path, words: list[str], complaint: str
) -> None:
    said = command("terminator.run", "-m", "seed=0", *POINTWISE, f"root={tmp_path}/root", *words)
    (line,) = (line for line in said.stderr.splitlines() if not line.startswith("Error executing job"))
    assert said.returncode == 2
    assert line.startswith(f"terminator: {complaint}")
    assert not (tmp_path / "root").exists()


def test_a_root_that_the_nodes_do_not_see(cluster: Cluster, tmp_path: Path) -> None:
    """The submitter has the folder mounted for itself alone, as a log-in node's /tmp is."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    root, python = tmp_path / "mine", shlex.quote(sys.executable)
    words = ["-m", "seed=0,1,2,3,4,5,6,7", *POINTWISE, f"root={root}", "cluster=dev", "sweep.wait=true"]
    script = f"""
        mkdir {root} && mount -t tmpfs none {root}
        {python} -m terminator.run {shlex.join(words)}
        {python} -m terminator.sweeps status --root {root}
        cat {root}/runs/*/attempts/*/end.json
    """
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert f"does not see root={root}: it has to be on a file system that the nodes share" in said.stdout + said.stderr
    assert "8 runs have no result" in said.stderr
    assert not cluster.run("squeue", "-h")
