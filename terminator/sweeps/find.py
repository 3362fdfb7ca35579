"""What the user's words mean: sweeps and runs."""

from __future__ import annotations

from collections.abc import Sequence

from terminator.errors import UserError
from terminator.ledger import Ledger, Run, Sweep


def find_sweep(ledger: Ledger, word: str | None) -> Sweep:
    """The sweep that `word` names, None for the newest. Raises UserError where there is none."""
    if word is not None:
        return ledger.sweep(word)
    sweeps = ledger.sweeps()
    if not sweeps:
        raise UserError(no_sweeps(ledger))
    return sweeps[0]


def no_sweeps(ledger: Ledger) -> str:
    """What to say of a root without any."""
    return f"no sweeps in {ledger.root}; --root or TERMINATOR_ROOT names another"


def find_run(ledger: Ledger, sweeps: Sequence[Sweep], word: str) -> Run:
    """The run called `word`: `VARIANT/SEED` of the first sweep that has it, or how a run key begins.

    Raises UserError, listing what there is, where none or several are called so.
    """
    names: dict[str, str] = {}
    for sweep in sweeps:
        for cell in sweep.cells():
            names.setdefault(f"{cell.variant.name}/{cell.seed}", cell.key)
    if word in names:
        return ledger.run(names[word])
    by_key = sorted({key for key in (*names.values(), *(run.key for run in ledger.runs())) if key.startswith(word)})
    if len(by_key) == 1:
        return ledger.run(by_key[0])
    rule = "means several runs" if by_key else "no such run"
    raise UserError(f"run={word}: {rule}; choose from {', '.join(by_key or names) or 'none'}")
