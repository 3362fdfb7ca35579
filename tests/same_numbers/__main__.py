"""`python -m tests.same_numbers`: train the recorded sweeps anew and compare every epoch row and result, to the bit.

recorded.json holds runs with the numbers of commit 133338c, whose steps round otherwise than before; up to its parent
they were those of 3795d4e. The last bits depend on the processor and on PyTorch's version, so a comparison on another
machine says so: record again there, at a commit that is known to be right, with `--record`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from terminator.ledger import Ledger, Run

RECORDED = Path(__file__).with_name("recorded.json")
SWEEPS = (["ablation=branches,gating,product,context"], ["ablation=context", "data=sdigits"])
SETTINGS = ["training.epochs=2", "seed=0,1", "sweep.workers=2", "tracking.enabled=false"]
OF_THE_CLOCK = {"time", "epoch_seconds", "images_per_second", "train_seconds", "peak_memory_bytes"}
NOT_RECORDED = {"test_images"}  # results have it since

Runs = dict[str, dict[str, Any]]


def train(root: Path) -> None:
    """Run the sweeps into `root`. Raises CalledProcessError if one fails."""
    for sweep in SWEEPS:
        command = [sys.executable, "-m", "terminator.run", "-m", *sweep, *SETTINGS, f"root={root}"]
        subprocess.run(command, check=True)


def read(root: Path) -> Runs:
    """What each run measured, by `data/ablation/variant/seed`, but for what the clock decides."""
    ledger = Ledger(root)
    return {
        f"{ledger.run(cell.key).spec().config['data']['name']}/{cell.ablation.name}/{cell.variant.name}/{cell.seed}": (
            _measured(ledger.run(cell.key))
        )
        for sweep in ledger.sweeps()
        for cell in sweep.cells()
    }


def machine(root: Path) -> dict[str, str]:
    """What the last bits depend on."""
    environment = next(Ledger(root).runs()).spec().environment
    return {"cpu": environment["cpu"], "torch": environment["torch"]}


def differences(recorded: Runs, found: Runs) -> list[str]:
    """One line a run that is missing, new or different."""
    lines = [f"{name}: not trained" for name in recorded.keys() - found.keys()]
    lines += [f"{name}: not recorded" for name in found.keys() - recorded.keys()]
    lines += [f"{name}: other numbers" for name in recorded.keys() & found.keys() if recorded[name] != found[name]]
    return sorted(lines)


def main() -> None:
    """Exits with 1 if any number differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.same_numbers", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="compare the runs of this output root instead of training")
    parser.add_argument("--record", action="store_true", help="replace the record by these runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = given.root or Path(folder)
        if given.root is None:
            train(root)
        found, here = read(root), machine(root)
    if given.record:
        RECORDED.write_text(json.dumps({"machine": here, "runs": found}, indent=0, sort_keys=True) + "\n", "utf-8")
        return
    recorded = json.loads(RECORDED.read_text("utf-8"))
    if recorded["machine"] != here:
        print(f"recorded on {recorded['machine']}, this is {here}: the last bits may differ")
    wrong = differences(recorded["runs"], found)
    print("\n".join([*wrong, f"{len(found)} runs, {len(wrong)} differ"]))
    sys.exit(bool(wrong))


def _measured(run: Run) -> dict[str, Any]:
    result = run.result()
    assert result is not None, f"run {run.key} has no result"
    return {"epochs": [_without_clock(row) for row in run.metrics()], "result": _without_clock(result.metrics)}


def _without_clock(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OF_THE_CLOCK | NOT_RECORDED}


if __name__ == "__main__":
    main()
