"""What SLURM and the ledger say of runs that leave no result."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.cluster.scheduler import Slurm
from terminator.config import OptimizerConfig, OptimizerName
from terminator.data.config import DataConfig
from terminator.ledger import Reason, RunState
from terminator.model.config import TerminatorConfig
from tests.cluster.test_mps import calls, driver, install
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import PROFILE, command, freeze, in_epoch, jobs_of, runs_of, submitted, task_of, tiny
from tests.sweeps.conftest import without_rights


def test_failures_keep_to_themselves_and_say_why(cluster: Cluster, tmp_path: Path) -> None:
    well = tiny()
    no_data = replace(well, data=DataConfig(format="hub", folder=str(tmp_path / "nowhere")))
    diverging = replace(well, optimizer=OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=1e30))
    huge = replace(well, model=TerminatorConfig(channels=[12_000_000], previous_blocks=[[]]))
    ledger, sweep, runs = submitted(tmp_path, [well, no_data, diverging, huge])
    cluster.wait(lambda: all(job.ended for job in jobs_of(ledger, sweep).values()), 120)
    Slurm(ledger, [sweep]).refresh()
    jobs = jobs_of(ledger, sweep)
    assert [(jobs[run.key].state, jobs[run.key].exit_code) for run in runs] == [
        ("COMPLETED", 0),
        ("FAILED", 1),
        ("FAILED", 3),
        ("FAILED", 1),
    ]
    assert [run.state().reason for run in runs] == [None, Reason.exception, Reason.diverged, Reason.out_of_memory]
    end = runs[1].attempts()[-1].end
    assert end is not None
    assert "Traceback" in end.traceback
    assert str(tmp_path / "nowhere") in end.message
    log = runs[1].log_path()
    assert log is not None
    assert "nowhere" in log.read_text()


def test_what_fails_before_python_starts_says_why(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under a root with all that sbatch, rich and a shell read in ways of their own."""
    root = tmp_path / "[" / "x] %j %A [lr=0.1] it's; here"
    root.mkdir(parents=True)
    (tmp_path / "lenient.sh").write_text("false\nls /nowhere\ntrue\n")
    ledger, sweep = freeze(root, [tiny(1, seed) for seed in range(4)])
    runs = runs_of(ledger, sweep)
    for run, change in zip(
        runs,
        (
            {"python": "/nowhere/python"},
            {"setup": ["true", "exit 3"]},
            {"setup": ["module() { ls /nowhere; }", "if true; then", "module load cuda", "fi", "echo too late"]},
            {  # which works, and so does a command of several words, as a container's is
                "setup": [f"source {tmp_path}/lenient.sh", "trap 'echo bye' EXIT"],
                "python": f"env OMP_NUM_THREADS=1 {shlex.quote(sys.executable)}",
            },
        ),
        strict=True,
    ):
        capsys.readouterr()
        Slurm(ledger, [sweep], replace(PROFILE, **change)).start([run])
    printed = capsys.readouterr().out.splitlines()[-1]
    back = shlex.split(printed.removeprefix("come back with: "), comments=True)
    assert back[3:] == ["status", "--root", str(root), sweep.id]
    cluster.wait(lambda: all(job.ended for job in jobs_of(ledger, sweep).values()), 120)
    assert runs[3].result() is not None
    before = sorted(root.rglob("*"))
    with without_rights(root) as drop:
        said = command(*back[2:], before=drop)
    assert (said.returncode, said.stderr, sorted(root.rglob("*"))) == (0, "", before)
    said = command(*back[2:])
    assert (said.returncode, f"{sweep.id} in {root}" in said.stdout) == (0, True), said.stderr
    words = [run.state().message.partition(": ")[2] for run in runs[:3]]
    assert words[0].endswith("execve(): /nowhere/python: No such file or directory")
    assert words[1] == "FAILED, exit code 3: cluster.setup: exit 3: exit code 3"
    assert words[2] == "FAILED, exit code 2: cluster.setup: ls /nowhere: exit code 2"
    said = command("terminator.sweeps", "logs", "--root", str(root), runs[2].key)
    assert "ls: cannot access '/nowhere'" in said.stdout
    assert "too late" not in said.stdout
    assert [path.name.count("_") for path in root.rglob("*_log.out")] == [3] * 4


def test_a_killed_process_is_named_at_once(cluster: Cluster, tmp_path: Path) -> None:
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)])
    cluster.wait(lambda: in_epoch(run), 120)
    pid = run.attempts()[-1].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    assert (run.state().state, run.state().reason) == (RunState.failed, Reason.killed)
    assert run.state().message == "the process was killed by SIGKILL"
    job = jobs_of(ledger, sweep)[run.key]
    assert (job.state, job.exit_code) == ("FAILED", 137)


def test_a_run_outlives_its_killed_job_only_to_save_a_checkpoint(cluster: Cluster, tmp_path: Path) -> None:
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)])
    cluster.wait(lambda: in_epoch(run), 120)
    task = task_of(run.attempts()[-1].pid)
    assert task is not None
    os.kill(task, signal.SIGKILL)
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended and run.attempts()[-1].end is not None)
    Slurm(ledger, [sweep]).refresh()
    assert run.state().state in (RunState.preempted, RunState.failed)  # as it saved in time or was killed as well
    assert jobs_of(ledger, sweep)[run.key].state == "FAILED"


def test_over_its_memory(
    start_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without control groups SLURM kills such a job by what its accounting samples, and the state says FAILED."""
    gather = ("Type=jobacct_gather/linux", "Frequency=1", "Params=OverMemoryKill")
    cluster = start_cluster(*(word for line in gather for word in ("--set", f"JobAcctGather{line}")))
    monkeypatch.setenv("SLURM_CONF", str(cluster.folder / "slurm.conf"))
    ledger, sweep, (run,) = submitted(tmp_path, [tiny(10_000)], replace(PROFILE, memory_gb=0.1))
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended)
    Slurm(ledger, [sweep]).refresh()
    assert (run.state().state, run.state().reason) == (RunState.failed, Reason.out_of_memory)


def test_a_run_that_failed_is_not_repeated_for_the_sake_of_its_neighbour(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both share a job and, by MPS, its GPU; the job is requeued: it ends FAILED all the same, and MPS is stopped."""
    install(tmp_path, monkeypatch)
    driver(tmp_path, 0)
    broken = replace(tiny(), data=DataConfig(format="hub", folder=str(tmp_path / "nowhere")))
    ledger, sweep, (bad, good) = submitted(tmp_path, [broken, tiny(100)], replace(PROFILE, runs_per_gpu=2))
    cluster.wait(lambda: in_epoch(good) and bad.state().state is RunState.failed, 120)
    cluster.run("scancel", "--signal=USR2", jobs_of(ledger, sweep)[good.key].id)
    cluster.wait(lambda: jobs_of(ledger, sweep)[good.key].ended, 120)
    assert [len(run.attempts()) for run in (bad, good)] == [1, 2]
    assert good.result() is not None
    assert (jobs_of(ledger, sweep)[good.key].state, jobs_of(ledger, sweep)[good.key].exit_code) == ("FAILED", 1)
    assert [call.split()[0] for call in calls(tmp_path)] == ["get_server_list", "-d", "quit"]


def test_cancelled_from_the_command_line_and_in_slurm(cluster: Cluster, tmp_path: Path) -> None:
    """One run is cancelled in SLURM while it trains, one while it waits; the others by `sweeps cancel`."""
    ledger, sweep, runs = submitted(
        tmp_path, [tiny(10_000, seed) for seed in range(4)], replace(PROFILE, gpus_per_node=2)
    )
    cluster.wait(lambda: sum(in_epoch(run) for run in runs) == 2, 120)
    jobs = jobs_of(ledger, sweep)
    cluster.run("scancel", jobs[runs[0].key].id, jobs[runs[3].key].id)
    cluster.wait(lambda: jobs_of(ledger, sweep)[runs[0].key].ended)
    said = command("terminator.sweeps", "cancel", "--root", str(tmp_path))
    assert (said.returncode, said.stdout) == (0, f"{sweep.id}: 2 runs stopped\n"), said.stderr
    cluster.wait(lambda: all(job.ended for job in jobs_of(ledger, sweep).values()))
    Slurm(ledger, [sweep]).refresh()
    assert [(run.state().state, run.state().reason) for run in runs] == [(RunState.interrupted, Reason.cancelled)] * 4
    assert (runs[1].attempts()[-1].folder / "checkpoint.pt").exists()


def test_a_lost_node_leaves_its_old_process_without_a_say(cluster: Cluster, tmp_path: Path) -> None:
    """A killed slurmd leaves its job running while the node counts as down and SLURM starts the job elsewhere."""
    _, _, (run,) = submitted(tmp_path, [tiny(10_000)])
    cluster.wait(lambda: in_epoch(run), 120)
    first = run.attempts()[0]
    assert first.job is not None
    assert first.job.node is not None
    cluster.daemon("down", first.job.node)
    try:
        cluster.wait(lambda: len(run.attempts()) == 2 and in_epoch(run), 120)
        cluster.wait(lambda: not Path(f"/proc/{first.pid}").exists() or _zombie(first.pid))
    finally:
        cluster.daemon("up", first.job.node)
    second = run.attempts()[1]
    assert second.job is not None
    assert second.job.id == first.job.id
    assert second.job.node != first.job.node
    assert second.resumed_from is not None
    assert run.attempts()[0].end is None
    cluster.run("scancel", first.job.id)


def _zombie(pid: int | None) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
