"""What the command does without `-m`: one run, on this machine, in this process."""

from __future__ import annotations

import sys

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from terminator.errors import UserError
from terminator.ledger import Ledger, provenance
from terminator.planning.compose import typed
from terminator.planning.plan import plan_single
from terminator.text import done_already
from terminator.tracking import LiveSync


def run_one(config: DictConfig) -> float:
    """Train, unless the run has its result already. Returns the test accuracy. Exits as the job does if it fails."""
    from terminator.job import execute

    hydra = HydraConfig.get()
    words = list(hydra.overrides.task)
    settings = typed(config)
    if ablation := hydra.runtime.choices.get("ablation"):
        raise UserError(f"ablation={ablation}: an ablation is a sweep; add -m")
    if cluster := hydra.runtime.choices.get("cluster"):
        raise UserError(f"cluster={cluster}: without -m a run is trained here; add -m to submit it")
    plan = plan_single(settings, words)
    origin = provenance()
    sweep = plan.sweep(origin, ["python", "-m", "terminator.run", *words], settings.tracking)
    ledger = Ledger(settings.root_folder())
    if hydra.mode is RunMode.RUN:
        plan.freeze(ledger, sweep, origin)
    run = ledger.run(sweep.keys()[0])
    found = run.result()
    if found is None:
        follower = LiveSync(ledger, [sweep]) if settings.tracking.enabled and hydra.mode is RunMode.RUN else None
        code = execute(run, watched=True)
        if follower:
            print(follower.close())
        if code:
            sys.exit(code)
    result = found or run.result()
    assert result is not None
    accuracy = float(result.metrics["test_accuracy"])
    best = f"epoch {result.metrics['best_epoch']} of {result.metrics['epochs']}"
    already = f"{done_already(found.finished)}: " if found else ""
    print(f"{already}test accuracy {100 * accuracy:.2f} % ({best}) → {run.folder}")
    return accuracy
