"""The cost of submission: 1,200 trivial runs on slurm/dev-cluster, with the default MaxArraySize of 1001.

    python benchmarks/slurm_overhead.py [--runs 1200] [--complete]

Prints the time from `python -m terminator.run -m …` to its return and to the first running job, and how much of it is
submission (journal, snapshot of the code, sbatch), for each run. Then cancels the jobs; with `--complete` it waits for
all of them instead.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from terminator.cluster.slurm import max_array_size, own_jobs_in_queue
from terminator.cluster.submit import journal_of
from terminator.ledger import Ledger, Sweep

REPOSITORY = Path(__file__).resolve().parents[1]
DEV_CLUSTER = REPOSITORY / "slurm" / "dev-cluster"
BRANCHES = ("gated", "si_glu", "global_gated", "global_mixed", "global_channel", "local", "interaction", "previous")
TRIVIAL = [
    *(f"model.branches.{name}=false" for name in BRANCHES),
    *("model.channels=[12]", "model.previous_blocks=[[]]"),
    *("training.epochs=1", "training.batch_size=512", "machine.device=cpu", "tracking.enabled=false"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1200)
    parser.add_argument("--complete", action="store_true", help="wait until all runs are done")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="slurm-overhead-") as folder:
        cluster = Path(folder) / "cluster"
        subprocess.run([DEV_CLUSTER, "start", "--dir", cluster], check=True, stdout=subprocess.DEVNULL)
        os.environ["SLURM_CONF"] = str(cluster / "slurm.conf")
        try:
            measure(Path(folder) / "root", arguments.runs, arguments.complete)
        finally:
            subprocess.run([DEV_CLUSTER, "stop", "--dir", cluster], check=True)


def measure(root: Path, runs: int, complete: bool) -> None:
    seeds = ",".join(map(str, range(runs)))
    command = [sys.executable, "-m", "terminator.run", "-m", f"seed={seeds}", *TRIVIAL, f"root={root}", "cluster=dev"]
    began_at, began = time.time(), time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    while process.poll() is None and not running():
        time.sleep(0.05)
    first = time.monotonic() - began
    if process.wait():
        sys.exit("the submission failed")
    returned = time.monotonic() - began
    ledger = Ledger(root)
    (sweep,) = ledger.sweeps()
    journal = journal_of(ledger, sweep)
    arrays, plan = journal.arrays(), journal.plan()
    assert plan is not None
    submitted = max((array.folder / "array.json").stat().st_mtime for array in arrays) - plan.created
    print(f"{runs} runs, MaxArraySize {max_array_size()}: arrays of {[len(array.jobs) for array in arrays]}")
    print(f"command returned after {returned:.1f} s ({1000 * returned / runs:.1f} ms for each run)")
    print(f"of which planning and snapshot {plan.created - began_at:.1f} s, submission {submitted:.2f} s")
    print(f"submission overhead {1000 * submitted / runs:.2f} ms for each run; first job running after {first:.1f} s")
    if complete:
        wait_for_all(ledger, sweep, began)
    else:
        subprocess.run(
            [sys.executable, "-m", "terminator.sweeps", "cancel", "--root", root], cwd=REPOSITORY, check=True
        )


def running() -> bool:
    squeue = subprocess.run(["squeue", "--noheader", "--states=running"], capture_output=True, text=True, check=True)
    return bool(squeue.stdout.strip())


def wait_for_all(ledger: Ledger, sweep: Sweep, began: float) -> None:
    while own_jobs_in_queue():
        time.sleep(2)
    done = sum(run.result() is not None for run in map(ledger.run, sweep.keys()))
    print(f"{done} runs done after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
