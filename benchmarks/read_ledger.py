"""How long `analysis.load` takes for 1,000 runs of 100 epochs: `python benchmarks/read_ledger.py [RUNS [EPOCHS]]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from terminator import analysis
from terminator.config import RunConfig, to_plain
from terminator.ledger import Ablation, Code, Ledger, Provenance, Sweep, Variant, digest

SEEDS = 10


def main() -> None:
    arguments = [int(argument) for argument in sys.argv[1:3]]
    runs, epochs = (*arguments, *(1000, 100)[len(arguments) :])
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), runs, epochs)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            results = analysis.load(folder)
            times.append(time.perf_counter() - began)
    print(f"{len(results.runs)} runs, {len(results.epochs)} epochs: {', '.join(f'{each:.2f}' for each in times)} s")


def write(root: Path, runs: int, epochs: int) -> None:
    """A ledger with that many runs that are done."""
    ledger = Ledger(root)
    code = Code("c0de" * 16, None, False)
    variants = []
    for number in range(runs // SEEDS):
        keys = {}
        for seed in range(SEEDS):
            config = {**to_plain(RunConfig(seed=seed)), "variant": number}
            run = ledger.freeze(digest(config), config, Provenance(code, "", {}))
            keys[seed] = run.key
            attempt = run.begin()
            lines = "".join(ROW.format(epoch=epoch) for epoch in range(1, epochs + 1))
            (attempt.folder / "metrics.jsonl").write_text(lines, "utf-8")
            attempt.finish({"test_accuracy": 0.97, "parameters": 100_000, "flops": 5e6, "train_seconds": 10.0})
        variants.append(Variant(f"variant_{number}", runs=keys))
    ablation = Ablation("many", "", "variant_0", "test_accuracy", True, 0.005, list(range(SEEDS)), variants)
    ledger.write_sweep(Sweep("many-00000000", time.time(), [], [], code, [ablation]))


ROW = (
    '{{"epoch":{epoch},"step":{epoch},"time":1790000000.123456,"lr":0.001215,"train_loss":1.2345678901234567,'
    '"train_cross_entropy":1.2345678901234567,"train_slow_loss":0.012345678901234567,"train_penalty":0.0123456789,'
    '"train_accuracy":0.9123456789012345,"validation_loss":1.2345678901234567,"validation_accuracy":0.91234567890,'
    '"epoch_seconds":0.5123456789}}\n'
)

if __name__ == "__main__":
    main()
