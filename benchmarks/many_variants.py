"""How long the commands around training take for ablations of many variants, and how much memory.

    python -m benchmarks.many_variants [--variants 20 200 1000] [--sync]

Five seeds a variant, 100 epochs a run; the results are invented. Wall-clock seconds of whole commands, the start of
Python included; peak memory of the process. The exponent is that of growth from the row above: 1 is linear.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from terminator.config import shipped
from terminator.ledger import Ledger, provenance
from terminator.planning.compose import Composer
from terminator.planning.plan import Planner
from terminator.planning.settings import register_schemas

SEEDS, EPOCHS = 5, 100


class Measured(NamedTuple):
    """Of a command."""

    seconds: float
    megabytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, nargs="+", default=[20, 200, 1000])
    parser.add_argument("--sync", action="store_true", help="also the first sync into MLflow, which takes minutes")
    arguments = parser.parse_args()
    before: dict[str, tuple[int, float]] = {}
    for variants in sorted(arguments.variants):
        with tempfile.TemporaryDirectory() as folder:
            for name, (seconds, megabytes) in measure(Path(folder), variants, arguments.sync).items():
                fewer, sooner = before.get(name, (0, 0.0))
                exponent = f"{math.log(seconds / sooner) / math.log(variants / fewer):5.2f}" if fewer else "    –"
                print(f"{variants:6d} variants  {name:10s} {seconds:8.1f} s {megabytes:6.0f} MB  exponent {exponent}")
                before[name] = variants, seconds


def measure(folder: Path, variants: int, sync: bool) -> dict[str, Measured]:
    """Each command on a ledger of its own; `folder` is empty."""
    options = [f"ablation.one_at_a_time={{objective.label_smoothing:[{','.join(values(variants))}]}}"]
    seeds = ",".join(map(str, range(SEEDS)))
    plan = ["-m", "ablation=label_smoothing", *options, f"seed={seeds}", "sweep.plan=true", f"root={folder}/none"]
    measured = {"plan": run("terminator.run", *plan)}
    fill(folder / "root", options)
    at = ["--root", str(folder / "root")]
    measured["status"] = run("terminator.sweeps", "status", *at)
    measured["report"] = run("analysis.report", "label_smoothing", *at)
    if sync:
        measured["first sync"] = run("terminator.sweeps", "sync", *at)
    return measured


def values(variants: int) -> list[str]:
    """Label smoothings from above 0 to 0.5; the baseline is one more."""
    return [f"{0.5 * (place + 1) / variants:.6f}" for place in range(variants - 1)]


def run(module: str, *words: str) -> Measured:
    """`python -m MODULE WORDS`, in silence."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{module} ended with {os.waitstatus_to_exitcode(status)}")
    return Measured(time.perf_counter() - began, usage.ru_maxrss / 1024)


def fill(root: Path, options: Sequence[str]) -> None:
    """Plan and freeze the ablation, and invent the results of its runs."""
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        composer = Composer(GlobalHydra.instance().config_loader(), compose("config", return_hydra_config=True))
        origin, ledger = provenance(), Ledger(root)
        Planner(composer, origin).ablations(["label_smoothing"], options, range(SEEDS)).freeze(ledger, origin)
    chance = random.Random(0)
    for one in ledger.runs():
        attempt = one.begin()
        lines = "".join(ROW.format(epoch=epoch, accuracy=chance.gauss(0.95, 0.01)) for epoch in range(1, EPOCHS + 1))
        (attempt.folder / "metrics.jsonl").write_text(lines, "utf-8")
        metrics = {"test_accuracy": chance.gauss(0.95, 0.01), "parameters": 100_000, "flops": 5e6}
        attempt.finish({**metrics, "train_seconds": 10.0})


ROW = (
    '{{"epoch":{epoch},"step":{epoch},"time":1790000000.123456,"lr":0.001215,"train_loss":1.2345678901234567,'
    '"train_cross_entropy":1.2345678901234567,"train_slow_loss":0.012345678901234567,"train_penalty":0.0123456789,'
    '"train_accuracy":0.9123456789012345,"validation_loss":1.2345678901234567,"validation_accuracy":{accuracy},'
    '"epoch_seconds":0.5123456789}}\n'
)

if __name__ == "__main__":
    main()
