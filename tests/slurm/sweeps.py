"""Small sweeps for the cluster: a pointwise network, so that a run is mostly the import of PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from terminator.cluster.journal import run_jobs
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import QueuedJob, read_queue
from terminator.cluster.submit import journal_of, submit
from terminator.config import Device, MachineConfig, RunConfig, TrainingConfig, to_plain
from terminator.job import execute
from terminator.ledger import Ablation, Ledger, Run, Sweep, Variant, digest, provenance, sweep_id
from terminator.model.config import Branches, TerminatorConfig
from terminator.run_key import code_hash
from tests.ledger import examples

REPOSITORY = Path(__file__).parents[2]
PROFILE = ClusterProfile(timeout_min=5, gpus_per_node=1, cpus_per_task=1, memory_gb=0.5)
OFF = Branches(**dict.fromkeys(("gated", "si_glu", "global_gated", "global_mixed", "global_channel"), False))
POINTWISE = replace(OFF, local=False, interaction=False, previous=False)
NOT_DETERMINED = {"images_per_second", "train_seconds", "peak_memory_bytes", "time", "epoch_seconds"}


def tiny(epochs: int = 2, seed: int = 0) -> RunConfig:
    return RunConfig(
        model=TerminatorConfig(channels=[12], previous_blocks=[[]], branches=POINTWISE),
        training=TrainingConfig(epochs=epochs, warmup_epochs=1.0, batch_size=256),
        machine=MachineConfig(device=Device.cpu, threads=1),
        seed=seed,
    )


def freeze(root: Path, configs: Sequence[RunConfig], name: str = "trial", **variant: Any) -> tuple[Ledger, Sweep]:
    """A sweep of these runs, one seed each, frozen under `root`."""
    ledger, origin = Ledger(root), provenance()
    runs = {}
    for index, config in enumerate(configs):
        own = replace(origin, code=replace(origin.code, hash=code_hash(config)))
        runs[index] = ledger.freeze(digest(to_plain(config)), to_plain(config), own).key
    variants = [Variant("full", runs=runs, **variant)]
    ablation = examples.identified(Ablation(name, "", "full", "test_accuracy", True, 0.005, list(runs), variants))
    sweep = Sweep(sweep_id([ablation]), time.time(), [], [], origin.code, [ablation], tracked=False)
    ledger.write_sweep(sweep)
    return ledger, sweep


def runs_of(ledger: Ledger, sweep: Sweep) -> list[Run]:
    return list(map(ledger.run, sweep.keys()))


def submitted(
    root: Path, configs: Sequence[RunConfig], profile: ClusterProfile = PROFILE
) -> tuple[Ledger, Sweep, list[Run]]:
    """A sweep of these runs that has been given to SLURM."""
    ledger, sweep = freeze(root, configs)
    runs = runs_of(ledger, sweep)
    submit(ledger, sweep, profile, runs)
    return ledger, sweep, runs


def all_done(ledger: Ledger, sweep: Sweep) -> bool:
    return all(run.result() is not None for run in runs_of(ledger, sweep))


def jobs_of(ledger: Ledger, sweep: Sweep) -> dict[str, QueuedJob]:
    """What SLURM says of the sweep's jobs, by run key; of the last job where there were several."""
    arrays = journal_of(ledger, sweep).arrays()
    queue = read_queue(array.token for array in arrays)
    found = ((key, job.found(queue)) for key, jobs in run_jobs(arrays).items() for job in jobs)
    return {key: job for key, job in found if job is not None}


def in_epoch(run: Run, epoch: int = 1) -> bool:
    """Whether the run's newest attempt is at work and has that many epochs behind it."""
    attempt = run.attempts()[-1] if run.attempts() else None
    progress = attempt.progress if attempt is not None and attempt.end is None else None
    return progress is not None and progress.epoch >= epoch


def task_of(pid: int | None) -> int | None:
    """The job's own process, whose child the run is; None where it has ended already."""
    with suppress(FileNotFoundError, ProcessLookupError):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if b"terminator.cluster.task" in Path(f"/proc/{parent}/cmdline").read_bytes():
            return parent
    return None


def undisturbed(root: Path, configs: Sequence[RunConfig]) -> Ledger:
    """The same runs, one after the other in this process."""
    ledger, sweep = freeze(root, configs)
    for run in runs_of(ledger, sweep):
        execute(run)
    return ledger


def determined(run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What an interruption must not change: the final metrics and every epoch's row."""
    result = run.result()
    assert result is not None, run.state()
    return _determined(result.metrics), [_determined(row) for row in run.metrics()]


def _determined(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name not in NOT_DETERMINED}


def command(*words: str, before: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m WORDS` in the checkout. `before`: what the command begins with, `setpriv` say."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        [*before, sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment,
        check=False,
    )
