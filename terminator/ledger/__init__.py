"""The ledger: files under one root that are the truth about every run and sweep. Standard library only."""

from terminator.ledger.attempt import Attempt, Superseded
from terminator.ledger.ledger import Ablation, Cell, Ledger, Sweep, Variant, default_root, sweep_id
from terminator.ledger.provenance import Provenance, alive_here, digest, package_hash, provenance
from terminator.ledger.records import (
    EXIT_CODES,
    EXIT_DIVERGED,
    EXIT_SUPERSEDED,
    Alive,
    AttemptRecord,
    Code,
    End,
    Job,
    Progress,
    Reason,
    Result,
    ResumedFrom,
    RunState,
    Spec,
    Status,
)
from terminator.ledger.run import Run

__all__ = [
    "EXIT_CODES",
    "EXIT_DIVERGED",
    "EXIT_SUPERSEDED",
    "Ablation",
    "Alive",
    "Attempt",
    "AttemptRecord",
    "Cell",
    "Code",
    "End",
    "Job",
    "Ledger",
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
    "default_root",
    "digest",
    "package_hash",
    "provenance",
    "sweep_id",
]
