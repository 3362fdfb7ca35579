"""Looks on SLURM go on without the terminal that the sweep was typed in, to the table that they come to here."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from terminator.cluster.journal import run_jobs
from terminator.cluster.submit import journal_of
from terminator.ledger import Ledger, Sweep
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import REPOSITORY, command
from tests.slurm.test_command_line import POINTWISE

WORDS = (
    "-m",
    "ablation=label_smoothing",
    "ablation.one_at_a_time={objective.label_smoothing:[0.0,0.3]}",
    "ablation.looks=[3,4]",
    *POINTWISE,
)


def looks(root: Path) -> list[dict[str, Any]]:
    """The looks that were made, as the ledger has them."""
    return [json.loads(path.read_text("utf-8")) for path in sorted((root / "looks").glob("*/0*.json"))]


def newest(root: Path) -> Sweep:
    return Ledger(root).sweeps()[0]


def test_looks_go_on_without_the_terminal_whatever_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    said = command("terminator.run", *WORDS, f"root={here}", "sweep.workers=2")
    assert said.returncode == 0, said.stderr
    with subprocess.Popen(
        [sys.executable, "-m", "terminator.run", *WORDS, f"root={there}", "cluster=dev", "sweep.wait=true"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("queued in" in line for line in process.stdout)
        process.kill()  # perhaps before it could submit the job that makes the look
    assert command("terminator.sweeps", "status", "--root", str(there)).returncode == 0
    cluster.wait(lambda: _kill_one(Ledger(there)), 60)
    cluster.wait(lambda: not cluster.run("squeue", "-h"), 300)
    assert looks(there) == looks(here)
    assert len(looks(there)) == 2
    assert list((there / "reports").glob("*/report.html"))
    status = command("terminator.sweeps", "status", "--root", str(there))
    assert "look 2 of 2" in status.stdout


def test_a_cancelled_sweep_makes_no_look(cluster: Cluster, tmp_path: Path) -> None:
    """Of an ablation whose file is in a folder of its own, typed twice."""
    own = tmp_path / "own" / "ablation" / "sub"
    own.mkdir(parents=True)
    shutil.copy(REPOSITORY / "sweeps" / "ablation" / "label_smoothing.yaml", own / "mine.yaml")
    words = [word.replace("ablation=label_smoothing", "ablation=sub/mine") for word in WORDS]
    words.append("+cluster.sbatch.hold=true")  # or all might be done before they can be cancelled
    for _ in range(2):
        said = command("terminator.run", "--config-dir", str(own.parents[1]), *words, f"root={tmp_path}", "cluster=dev")
        assert said.returncode == 0, said.stderr
    jobs = run_jobs(journal_of(Ledger(tmp_path), newest(tmp_path)).arrays())
    assert {key: len(each) for key, each in jobs.items()} == dict.fromkeys(newest(tmp_path).keys(), 1)
    said = command("terminator.sweeps", "status", "--root", str(tmp_path))
    assert re.search(r"SLURM holds \d+_0,.* \(JobHeldUser\); to let go: scontrol release \d+_0,", said.stderr), (
        said.stderr
    )
    said = command("terminator.sweeps", "cancel", "--root", str(tmp_path), "sub/mine")
    assert said.returncode == 0, said.stderr
    cluster.wait(lambda: not cluster.run("squeue", "-h"), 120)
    assert not looks(tmp_path)
    assert all(array.job_id for array in journal_of(Ledger(tmp_path), newest(tmp_path)).arrays())


def _kill_one(ledger: Ledger) -> bool:
    """Kill the process of a run that is under way, if there is one."""
    for run in ledger.runs():
        attempt = run.last_attempt()
        if attempt is not None and attempt.end is None and attempt.pid is not None:
            try:
                os.kill(attempt.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
    return False
