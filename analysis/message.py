"""What is told of a sweep when it ends, in a few lines."""

from __future__ import annotations

import time

from terminator.analysis.load import load
from terminator.analysis.summary import summarize
from terminator.errors import UserError
from terminator.ledger import Ledger, RunState, Sweep
from terminator.notify import send
from terminator.text import counted
from terminator.tracking.parents import reported

MOST_NAMED = 10


def tell(ledger: Ledger, sweep: Sweep, *, interrupted: bool = False, problem: str = "") -> str | None:
    """Send the sweep's message, if one was asked for. Returns what went wrong, in a line."""
    return (
        None
        if sweep.notify is None
        else send(sweep.notify, *message(ledger, sweep, interrupted=interrupted, problem=problem))
    )


def message(ledger: Ledger, sweep: Sweep, *, interrupted: bool = False, problem: str = "") -> tuple[str, str]:
    """Title and text: how many runs are done, each table's headline, why runs have no result, where the report is.

    `problem`: why the sweep cannot go on, which comes first.
    """
    states = {name: ledger.run(key).state() for key, name in sweep.names().items()}
    done = sum(each.state is RunState.done for each in states.values())
    lost = {name: each for name, each in states.items() if each.state is not RunState.done}
    spent = lost and sweep.until is not None and time.time() >= sweep.until
    how = "stopped, " if problem else "interrupted, " if interrupted else "sweep.budget_min is spent, " if spent else ""
    lines = [problem] if problem else []
    try:
        for results in (load(ledger.root, each.name, sweep=sweep.id) for each in sweep.ablations if not each.is_tuning):
            summary = summarize(results, results.questions[0])
            lines.append(f"{summary.name}: {summary.headline or 'nothing is tested yet'}")
    except UserError as error:  # no results yet, say
        lines.append(str(error))
    begun = {name: status for name, status in lost.items() if status.state is not RunState.pending}
    for name, status in list(begun.items())[:MOST_NAMED]:
        why = ": ".join(filter(None, [status.state.value, status.reason and status.reason.value, status.message]))
        lines.append(f"{name}: {why}")
    if len(begun) > MOST_NAMED:
        lines.append(f"and {len(begun) - MOST_NAMED:,} more without a result")
    if pending := len(lost) - len(begun):
        lines.append(f"{counted(pending, 'run')} not started yet")
    report = reported(ledger, sweep)
    lines.append(f"Report: {report.page}" if report and report.is_there() else f"Runs: {ledger.root}")
    return f"{sweep.id}: {how}{done:,} of {len(states):,} runs done", "\n".join(lines)
