"""A sweep in bad weather: whatever a cluster does to jobs happens at random, and no number changes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from terminator.cluster.scheduler import Slurm
from terminator.cluster.submit import submit
from terminator.ledger import Ledger, Run, RunState, Sweep, alive_here
from tests.slurm.conftest import Cluster
from tests.slurm.sweeps import PROFILE, determined, freeze, in_epoch, jobs_of, runs_of, task_of, tiny, undisturbed

RUNS = 24
BLOWS = 40
EPOCHS = 24
GENTLE = ("requeue", "SIGTERM", "SIGUSR2")
HARD = ("kill -9 the run", "kill -9 the task", "cancel")


class Weather:
    """Strikes running jobs at random, and one node once."""

    def __init__(self, cluster: Cluster, ledger: Ledger, sweep: Sweep, seed: int) -> None:
        self.blows: Counter[str] = Counter()
        self._cluster = cluster
        self._ledger = ledger
        self._sweep = sweep
        self._random = random.Random(seed)

    def strike(self) -> None:
        """One blow at one run that is at work, if there is one."""
        jobs = jobs_of(self._ledger, self._sweep)
        living = [run for run in runs_of(self._ledger, self._sweep) if run.key in jobs and at_work(run)]
        if self._random.random() < 0.9:  # most blows fall where there is something to lose, the others on beginnings
            living = [run for run in living if in_epoch(run)]
        if not living:
            return
        run = self._random.choice(living)
        kind, job = self._random.choice(GENTLE if self._random.random() < 0.7 else HARD), jobs[run.key].id
        pid = run.attempts()[-1].pid
        if kind == "requeue":
            self._cluster.try_run("scontrol", "requeue", job)
        elif kind.startswith("SIG"):
            self._cluster.try_run("scancel", f"--signal={kind[3:]}", job)
        elif kind == "cancel":
            self._cluster.try_run("scancel", job)
        elif (victim := pid if kind.endswith("run") else task_of(pid)) is not None:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        self.blows[kind] += 1

    def lose_node(self, name: str) -> None:
        """Take a slurmd down, wait until SLURM has given the node up, bring it back."""
        self._cluster.daemon("down", name)
        self._cluster.wait(lambda: "down" in self._cluster.run("sinfo", "-h", "-n", name, "-o", "%T"), 90)
        self._cluster.daemon("up", name)
        self.blows["node lost"] += 1


def at_work(run: Run) -> bool:
    attempt = next(iter(run.attempts()[-1:]), None)
    return run.result() is None and attempt is not None and attempt.end is None and alive_here(attempt) is True


def over(ledger: Ledger, sweep: Sweep) -> bool:
    jobs = jobs_of(ledger, sweep)
    return all(run.result() is not None or jobs[run.key].ended for run in runs_of(ledger, sweep) if run.key in jobs)


def test_storm(start_cluster: Callable[..., Cluster], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = start_cluster("--set", "SlurmdTimeout=8")
    monkeypatch.setenv("SLURM_CONF", str(cluster.folder / "slurm.conf"))
    configs = [tiny(EPOCHS, seed) for seed in range(RUNS)]
    reference = undisturbed(tmp_path / "calm", configs)
    ledger, sweep = freeze(tmp_path / "storm", configs)
    runs = runs_of(ledger, sweep)
    began = time.monotonic()
    submit(ledger, sweep, PROFILE, runs)
    weather = Weather(cluster, ledger, sweep, seed=3)
    while weather.blows.total() < BLOWS and not over(ledger, sweep):
        if weather.blows.total() == BLOWS // 2 and not weather.blows["node lost"]:
            weather.lose_node("n1")
        weather.strike()
        cluster.hurry()
        time.sleep(0.3)
    cluster.wait(lambda: over(ledger, sweep), 300)
    slurm = Slurm(ledger, [sweep])
    slurm.refresh()
    unfinished = [run for run in runs if run.result() is None]
    reasons = Counter(str(run.state(slurm.alive).reason) for run in unfinished)
    slurm.retry(unfinished)
    cluster.wait(lambda: over(ledger, sweep), 300)
    lost = [run.key for run in runs if run.result() is None]
    attempts = [attempt for run in runs for attempt in run.attempts()]
    print(
        f"\nstorm: {len(runs)} runs, {weather.blows.total()} blows ({dict(weather.blows)}), {len(attempts)} attempts, "
        f"{sum(attempt.resumed_from is not None for attempt in attempts)} resumed from a checkpoint, "
        f"{len(unfinished)} runs retried once ({dict(reasons)}), {len(lost)} lost, {time.monotonic() - began:.0f} s"
    )
    assert lost == []
    assert weather.blows["node lost"] == 1
    for run in runs:
        ends = [attempt.end.outcome for attempt in run.attempts() if attempt.end is not None]
        assert ends.count(RunState.done) == 1
        assert determined(run) == determined(reference.run(run.key))
