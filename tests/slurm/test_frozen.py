"""What is edited after the submission changes no queued, running or requeued job."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from terminator.config import from_plain
from terminator.ledger import Ledger, digest
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import REPOSITORY, all_done, determined, in_epoch, jobs_of, runs_of, undisturbed
from tests.slurm.test_command_line import POINTWISE

SHIPPED = ("terminator", "conf", "sweeps", "slurm", "hydra_plugins", "analysis")
SABOTAGE = "raise RuntimeError('the code was edited')\n"


def test_edits_reach_neither_waiting_nor_requeued_jobs(cluster: Cluster, tmp_path: Path) -> None:
    """Two runs on one GPU slot: one is requeued after the edits, one has not started yet."""
    checkout = tmp_path / "checkout"
    for folder in SHIPPED:
        shutil.copytree(REPOSITORY / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["-m", "seed=0,1", *POINTWISE, "training.epochs=20"]
    words += [f"root={tmp_path}/there", "cluster=dev", "cluster.array_parallelism=1"]
    subprocess.run([sys.executable, "-m", "terminator.run", *words], cwd=checkout, check=True)
    ledger = Ledger(tmp_path / "there")
    sweep = ledger.sweeps()[0]
    running, waiting = runs_of(ledger, sweep)
    cluster.wait(lambda: in_epoch(running), 120)
    assert waiting.attempts() == []
    for path in [*checkout.rglob("*.py"), checkout / "conf" / "config.yaml"]:
        path.write_text(SABOTAGE)
    cluster.run("scontrol", "requeue", jobs_of(ledger, sweep)[running.key].id)
    cluster.wait(lambda: all_done(ledger, sweep), 180)
    reference = undisturbed(tmp_path / "here", [from_plain(run.spec().config) for run in (running, waiting)])
    for run in (running, waiting):
        assert determined(run) == determined(reference.run(digest(run.spec().config)))
    assert len(running.attempts()) == 2
