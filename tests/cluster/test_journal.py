from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.cluster.journal import JobPlan, Journal, PlannedJob, journals, read_array, run_jobs
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import JobId, QueuedJob
from terminator.ledger import Job, Ledger, files

PROFILE = ClusterProfile(partition="main", setup=["a"], sbatch={"nice": 1})
LARGE = replace(PROFILE, memory_gb=64.0)
JOBS = (PlannedJob(("k1", "k2"), 0), PlannedJob(("k3",), 0), PlannedJob(("k4",), 1))
PLAN = JobPlan("p1", 100.0, "abc-def", PROFILE, (PROFILE, LARGE), JOBS)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "sweeps" / "branches-12345678" / "slurm")


def test_what_is_in_no_array_waits(journal: Journal) -> None:
    assert journal.waiting() == []
    journal.write_plan(PLAN)
    assert journal.plan() == PLAN
    assert journal.waiting() == list(JOBS)
    array = journal.new_array(PLAN, JOBS[:2])
    assert (array.profile, array.jobs, array.job_id) == (PROFILE, (("k1", "k2"), ("k3",)), None)
    assert journal.waiting() == [JOBS[2]]
    assert journal.new_array(PLAN, JOBS[2:]).profile == LARGE
    assert journal.waiting() == []


def test_an_array_knows_its_jobs_once_it_is_submitted(journal: Journal) -> None:
    journal.write_plan(PLAN)
    array = journal.new_array(PLAN, JOBS[:2]).submitted("77")
    assert read_array(array.folder) == array
    assert array.job(1) == "77_1"
    assert array.token.startswith("branches-12345678.")
    assert array.log("77_1") == array.folder / "77_1_0_log.out"
    assert [each.token for each in next(journals(journal.folder.parents[2])).arrays()] == [array.token]
    array.withdraw()
    assert journal.arrays() == []
    assert journal.waiting() == list(JOBS)


def test_a_new_plan_forgets_what_waited_in_the_old_one(journal: Journal) -> None:
    journal.write_plan(PLAN)
    journal.new_array(PLAN, JOBS[:1])
    journal.write_plan(replace(PLAN, id="p2", jobs=JOBS[:1]))
    assert journal.waiting() == [JOBS[0]]
    assert journal.current_arrays() == []
    journal.stop_waiting()
    plan = journal.plan()
    assert journal.waiting() == []
    assert plan is not None
    assert plan.profile == PROFILE


def test_a_refused_first_plan_leaves_no_trace(journal: Journal) -> None:
    journal.write_plan(PLAN)
    journal.restore_plan(None)
    assert not journal.folder.exists()
    journal.write_plan(PLAN)
    journal.write_plan(replace(PLAN, id="p2"))
    journal.restore_plan(PLAN)
    assert journal.plan() == PLAN


def test_an_array_tells_its_attempts_and_jobs_from_others_of_its_number(journal: Journal) -> None:
    run = Ledger(journal.folder.parents[2]).run("k3")
    journal.write_plan(PLAN)
    for _ in range(2):
        journal.new_array(PLAN, JOBS[:2]).submitted("77")
        run.begin(Job("slurm", "77_1"))
    run.begin()
    first, second = sorted(run_jobs(journal.arrays())["k3"], key=lambda job: job.before)
    assert (first.number, first.before, second.number, second.before) == ("77_1", 0, "77_1", 1)
    assert [second.made(attempt) for attempt in run.attempts()] == [False, True, False]
    queue = {JobId(second.array.token, "77_1"): QueuedJob("77_1", second.array.token, "PENDING")}
    assert (first.found(queue), second.found(queue)) == (None, next(iter(queue.values())))


def test_an_array_of_an_older_ledger_counts_from_the_first_attempt(journal: Journal) -> None:
    journal.write_plan(PLAN)
    array = journal.new_array(PLAN, JOBS[:2]).submitted("77")
    plain = json.loads((array.folder / "array.json").read_text("utf-8"))
    del plain["begun"]
    (array.folder / "array.json").write_text(files.dumps(plain))
    assert [job.before for jobs in run_jobs(journal.arrays()).values() for job in jobs] == [0, 0, 0]
