"""The ledger: files under one root that are the truth about every run and sweep. Standard library only."""

from terminator.ledger.attempt import Attempt, Superseded
from terminator.ledger.key import code_hash, run_key
from terminator.ledger.ledger import Ledger, default_root
from terminator.ledger.origin import Provenance, provenance
from terminator.ledger.records import (
    Alive,
    AttemptRecord,
    Code,
    End,
    Job,
    Outcome,
    Progress,
    Reason,
    Result,
    ResumedFrom,
    RunState,
    Spec,
    Status,
    alive_here,
)
from terminator.ledger.run import Run
from terminator.ledger.sweep import Ablation, Cell, Sweep, Variant, sweep_id

__all__ = [
    "Ablation",
    "Alive",
    "Attempt",
    "AttemptRecord",
    "Cell",
    "Code",
    "End",
    "Job",
    "Ledger",
    "Outcome",
    "Progress",
    "Provenance",
    "Reason",
    "Result",
    "ResumedFrom",
    "Run",
    "RunState",
    "Spec",
    "Status",
    "Superseded",
    "Sweep",
    "Variant",
    "alive_here",
    "code_hash",
    "default_root",
    "provenance",
    "run_key",
    "sweep_id",
]
