"""Every run is submitted once: within SLURM's limits, past its refusals, while its controller is away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.cluster.journal import Journal
from terminator.cluster.scheduler import WAITING, Slurm
from terminator.cluster.slurm import max_array_size, own_jobs_in_queue, read_queue
from terminator.cluster.submit import Submission, in_queue, journal_of, submit
from terminator.data.config import DataConfig
from terminator.errors import UserError
from terminator.ledger import Reason, Run, RunState
from terminator.sweeps.local import Local
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import PROFILE, all_done, command, freeze, jobs_of, runs_of, submitted, tiny


def test_arrays_are_split_and_the_rest_waits_for_places(
    start_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start_cluster("--max-array-size", "3")
    monkeypatch.setenv("SLURM_CONF", str(cluster.folder / "slurm.conf"))
    assert max_array_size() == 3
    ledger, sweep = freeze(tmp_path, [tiny(1, seed) for seed in range(9)])
    runs = runs_of(ledger, sweep)
    submission = submit(ledger, sweep, replace(PROFILE, max_submit=7), runs)
    assert submission == Submission(runs=7, jobs=7, waiting=2)
    assert [len(array.jobs) for array in journal_of(ledger, sweep).arrays()] == [3, 3, 1]
    slurm = Slurm(ledger, [sweep])
    assert slurm.queued(runs[8]) == WAITING
    assert own_jobs_in_queue() <= 7
    said = command("terminator.sweeps", "watch", "--root", str(tmp_path))
    assert said.returncode == 0, said.stderr
    assert all_done(ledger, sweep)
    assert {len(run.attempts()) for run in runs} == {1}
    assert sum(len(array.jobs) for array in journal_of(ledger, sweep).arrays()) == 9


def test_what_is_in_the_queue_is_not_submitted_again(cluster: Cluster, tmp_path: Path) -> None:
    ledger, sweep = freeze(tmp_path, [tiny(1, seed) for seed in range(3)])
    other_ledger, other = freeze(tmp_path, [tiny(1, seed) for seed in (1, 2, 3)], name="other")
    profile = replace(PROFILE, sbatch={"hold": True})
    outcomes: list[Submission] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(submit(ledger, sweep, profile, runs_of(ledger, sweep))))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome.jobs for outcome in outcomes) == [0, 3]
    assert submit(other_ledger, other, profile, runs_of(other_ledger, other)) == Submission(runs=1, jobs=1, queued=2)
    assert own_jobs_in_queue() == 4
    third_ledger, third = freeze(tmp_path, [tiny(1, 9)], name="third")
    (here,) = runs_of(third_ledger, third)
    here.begin()  # by this very process, as a sweep without cluster= would
    assert submit(third_ledger, third, profile, [here]) == Submission(queued=1)


def test_a_local_sweep_leaves_to_slurm_what_is_queued_there(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, sweep = freeze(tmp_path, [tiny(1, seed) for seed in range(2)])
    queued, free = runs_of(ledger, sweep)
    submit(ledger, sweep, replace(PROFILE, sbatch={"hold": True}), [queued])
    Local(ledger, [sweep], workers=1).start([queued, free])
    job = jobs_of(ledger, sweep)[queued.key].id
    line = f"terminator: 1 run left to SLURM, which has it queued or running ({job}); `sweeps cancel` takes them back\n"
    assert line in capsys.readouterr().err
    assert (queued.attempts(), free.result() is not None) == ([], True)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("PATH", str(tmp_path))
        Local(ledger, [sweep], workers=1).start([queued])
    said = capsys.readouterr().err
    assert said.startswith("terminator: no squeue on this machine: ")
    assert ": 1 run given to SLURM before may be in its queue still\n" in said
    assert queued.result() is not None


def test_a_submission_that_was_cut_short_is_settled(cluster: Cluster, tmp_path: Path) -> None:
    ledger, sweep = freeze(tmp_path, [tiny(1, seed) for seed in range(4)])
    profile = replace(PROFILE, sbatch={"hold": True})
    runs = runs_of(ledger, sweep)
    submit(ledger, sweep, profile, runs[:2])
    journal = journal_of(ledger, sweep)
    array = replace(journal.arrays()[0], created=time.time() - 60)
    replace(array, job_id=None).write()  # as if the submitter had died after sbatch
    assert submit(ledger, sweep, profile, runs[:2]) == Submission(queued=2)
    assert journal.arrays() == [array]
    plan = journal.plan()
    assert plan is not None
    lost = replace(array, folder=array.folder.with_name(f"{sweep.id}.lost"), job_id=None)
    replace(lost, jobs=((runs[2].key,), (runs[3].key,))).write()  # as if it had died before sbatch
    assert submit(ledger, sweep, profile, runs) == Submission(runs=2, jobs=2, queued=2)
    assert own_jobs_in_queue() == 4


def test_numbers_that_come_again_are_other_jobs(cluster: Cluster, tmp_path: Path) -> None:
    """A SLURM that is installed anew counts from the start: first to another sweep's jobs, then to a retry's."""
    broken = replace(tiny(), data=DataConfig(format="hub", folder=str(tmp_path / "nowhere")))
    ledger, sweep, (run,) = submitted(tmp_path, [broken])
    cluster.wait(lambda: jobs_of(ledger, sweep)[run.key].ended, 120)
    journal, held = journal_of(ledger, sweep), replace(PROFILE, sbatch={"hold": True})
    other_ledger, other = freeze(tmp_path, [tiny(1, 9)], name="other")
    submit(other_ledger, other, held, runs_of(other_ledger, other))
    _renumber(journal, run, journal_of(other_ledger, other).arrays()[0].job_id)
    plan = journal.plan()
    assert plan is not None
    journal.write_plan(replace(plan, profile=held))
    said = command("terminator.sweeps", "retry", "--root", str(tmp_path), sweep.id)
    assert said.stdout.startswith(f"{sweep.id}: 1 failed to run again\n1 run queued in 1 job\n"), said.stderr
    number = journal.arrays()[1].job_id
    _renumber(journal, run, number)
    again = command("terminator.sweeps", "retry", "--root", str(tmp_path), sweep.id)
    assert again.stdout == f"{sweep.id}: nothing to run again\n", again.stderr
    cluster.run("scontrol", "release", str(number))
    cluster.wait(lambda: len(run.attempts()) == 2 and run.attempts()[-1].end is not None, 120)


def _renumber(journal: Journal, run: Run, number: str | None) -> None:
    """As if the job of the first array, and with it the run's first attempt, had had that number."""
    array = journal.arrays()[0]
    replace(array, job_id=number).write()
    record = run.attempt_folder(1) / "attempt.json"
    job = {"scheduler": "slurm", "id": f"{number}_0", "node": "n1"}
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "job": job}))


def test_a_refusal_leaves_nothing_behind(cluster: Cluster, tmp_path: Path) -> None:
    ledger, sweep = freeze(tmp_path, [tiny()])
    before = sorted(tmp_path.rglob("*"))
    for change, words in (
        ({"partition": "nowhere"}, "invalid partition specified: nowhere"),
        ({"gpus_per_node": 9}, "allocation failure: Requested node configuration is not available"),
        ({"sbatch": {"time": "soon"}}, "Invalid --time specification"),
    ):
        with pytest.raises(UserError, match=f"^cluster: SLURM refuses jobs of this profile: {words}"):
            submit(ledger, sweep, replace(PROFILE, **change), runs_of(ledger, sweep))
    with pytest.raises(UserError, match=r"^resources.full.gpus: no such key; choose from partition, "):
        submit(*freeze(tmp_path, [tiny()], resources={"gpus": 1}), PROFILE, runs_of(ledger, sweep))
    assert sorted(tmp_path.rglob("*")) == before
    assert own_jobs_in_queue() == 0


def test_no_sbatch_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ledger, sweep = freeze(tmp_path, [tiny()])
    with pytest.raises(UserError, match=r"^no sbatch on this machine: submit from a log-in node"):
        submit(ledger, sweep, PROFILE, runs_of(ledger, sweep))


def test_the_controller_is_away(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First for longer than we wait; then it comes back while we ask again."""
    impatient = tmp_path / "slurm.conf"  # how long each of SLURM's commands tries by itself
    impatient.write_text((cluster.folder / "slurm.conf").read_text() + "MessageTimeout=4\n")
    monkeypatch.setenv("SLURM_CONF", str(impatient))
    ledger, sweep = freeze(tmp_path, [tiny(1, seed) for seed in range(2)])
    runs = runs_of(ledger, sweep)
    monkeypatch.setenv("TERMINATOR_SLURM_PATIENCE", "0")
    cluster.daemon("down", "slurmctld")
    try:
        with pytest.raises(UserError, match=r"^SLURM does not answer \(sbatch: .*Unable to contact slurm controller"):
            submit(ledger, sweep, PROFILE, runs)
        assert not journal_of(ledger, sweep).folder.exists()
        monkeypatch.setenv("TERMINATOR_SLURM_PATIENCE", "60")
        comeback = threading.Timer(5.0, cluster.daemon, ("up", "slurmctld"))
        comeback.start()
        assert submit(ledger, sweep, replace(PROFILE, sbatch={"hold": True}), runs).jobs == 2
    finally:
        comeback.join()
    assert own_jobs_in_queue() == 2
    cluster.daemon("down", "slurmctld")
    monkeypatch.setenv("TERMINATOR_SLURM_PATIENCE", "0")
    try:
        slurm = Slurm(ledger, [sweep])
        slurm.refresh()
        assert "SLURM does not answer (squeue: " in capsys.readouterr().err
        assert runs[0].state(slurm.alive).state is RunState.pending
    finally:
        cluster.daemon("up", "slurmctld")


def test_runs_share_a_gpu_and_variants_bring_their_own_resources(cluster: Cluster, tmp_path: Path) -> None:
    configs = [tiny(1, seed) for seed in range(3)]
    ledger, sweep = freeze(tmp_path, configs, resources={"memory_gb": 0.25, "runs_per_gpu": 3})
    runs = runs_of(ledger, sweep)
    assert submit(ledger, sweep, PROFILE, runs) == Submission(runs=3, jobs=1)
    job = jobs_of(ledger, sweep)[runs[0].key].id
    assert "MinMemoryNode=256M" in cluster.run("scontrol", "show", "job", job)
    cluster.wait(lambda: all_done(ledger, sweep), 120)
    assert {attempt.job.id for run in runs for attempt in run.attempts() if attempt.job} == {job}


def test_the_accounting_remembers_what_the_queue_has_forgotten(
    start_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = start_cluster("--accounting", "--set", "MinJobAge=2")
    monkeypatch.setenv("SLURM_CONF", str(cluster.folder / "slurm.conf"))
    ledger, sweep = freeze(tmp_path, [tiny(1)])
    (run,) = runs_of(ledger, sweep)
    began = time.time()
    submit(ledger, sweep, replace(PROFILE, setup=["exit 7"]), [run])
    token = journal_of(ledger, sweep).arrays()[0].token
    cluster.wait(lambda: not read_queue([token]), 120)
    cluster.wait(lambda: read_queue([token], since=began))
    (job,) = read_queue([token], since=began).values()
    assert (job.state, job.exit_code) == ("FAILED", 7)
    Slurm(ledger, [sweep]).refresh()
    assert (run.state().state, run.state().reason) == (RunState.failed, Reason.exception)
    assert "FAILED, exit code 7" in run.state().message
    assert in_queue(tmp_path) == {}
