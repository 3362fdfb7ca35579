"""`terminator sweeps`: list, status, watch, retry, cancel, sync, logs."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from terminator.entry import Parser, interruptible, typed
from terminator.errors import UserError, storage_errors
from terminator.ledger import Ledger, RunState, Sweep, default_root
from terminator.sweeps.scheduler import scheduler_of
from terminator.sweeps.show import (
    counts,
    is_due,
    refreshed,
    rows,
    run_document,
    run_table,
    standing,
    sweep_document,
    sweep_table,
    watch,
)
from terminator.text import counted
from terminator.tracking import checked_uri, follow, sync

EXAMPLES = """examples:
  terminator sweeps status                 every run of the newest sweep: state, epoch, time left, why it failed
  terminator sweeps watch branches         the newest sweep of the ablation branches, until it is over
  terminator sweeps retry branches-1a2b    what has no result, from its checkpoints; a sweep by how its id begins
  terminator sweeps logs no_local/0        the log of a variant's run with seed 0
  terminator sweeps sync                   MLflow, made anew or brought up to date from the results"""
NO_SWEEPS = "no sweeps in {}; --root or TERMINATOR_ROOT names another"
NAMES = "its id, how that begins, or an ablation"
WIDTH_OF_A_PIPE = 200  # where no terminal tells how wide a line may be


def main() -> None:
    """The entry point. Bad input ends with one line on stderr and exit code 2."""
    arguments = _parser().parse_args()
    command: Callable[[Ledger, argparse.Namespace], int] = arguments.command
    ledger = Ledger(default_root(getattr(arguments, "root", None)))
    try:
        with storage_errors(ledger.root), interruptible():
            code = command(ledger, arguments)
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def _parser() -> Parser:
    common = Parser(add_help=False)
    common.add_argument(
        "--root", default=argparse.SUPPRESS, help="the output root; default $TERMINATOR_ROOT, else ./outputs"
    )
    parser = Parser(
        prog=typed("sweeps"),
        description="Come back to a sweep, from any shell that sees its root.",
        epilog=EXAMPLES,
        parents=[common],
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[Ledger, argparse.Namespace], int], purpose: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=purpose, description=purpose, parents=[common])
        sub.set_defaults(command=command)
        return sub

    def named(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--sweep", dest="named", metavar="SWEEP", help="the same, as an option")

    listing = add("list", _list, "all sweeps, the last called first")
    status = add("status", _status, "every run of a sweep: its state, epoch, time left, host, and why it failed")
    for sub in (listing, status):
        sub.add_argument("--json", action="store_true", help="as a JSON document")
    for sub in (
        status,
        add("watch", _watch, "show a sweep until it is over"),
        add("retry", _retry, "run again what has no result, each run from its last checkpoint"),
        add("cancel", _cancel, "stop what runs or waits in a queue; checkpoints are kept"),
    ):
        sub.add_argument("sweep", nargs="?", help=f"{NAMES}; default: the newest")
        named(sub)
    syncing = add("sync", _sync, "bring MLflow up to date with the results; what was lost there is written anew")
    syncing.add_argument("sweep", nargs="*", help=f"each {NAMES}; default: all")
    syncing.add_argument("--sweep", dest="named", action="append", default=[], metavar="SWEEP", help="the same")
    syncing.add_argument("--uri", help="MLflow's tracking URI; default: each sweep's own, or ROOT/mlflow.db")
    syncing.add_argument("--run", action="append", default=[], metavar="RUN", help="this run only; may be repeated")
    syncing.add_argument("--follow", action="store_true", help="again and again, until standard input ends")
    logs = add("logs", _logs, "the newest log of a run")
    logs.add_argument("sweep", nargs="?", help=f"{NAMES}; default: the newest that has VARIANT/SEED")
    logs.add_argument("run", help="VARIANT/SEED, or how a run key begins")
    named(logs)
    logs.add_argument("--tail", type=int, metavar="N", help="the last N lines only")
    return parser


def _console() -> Console:
    console = Console(markup=False, emoji=False)  # paths and settings may hold square brackets
    return console if console.is_terminal else Console(markup=False, emoji=False, width=WIDTH_OF_A_PIPE)


def _sweep(ledger: Ledger, arguments: argparse.Namespace) -> Sweep:
    """The sweep that is named, by its place or as an option, else the newest. Raises UserError where there is none."""
    if (name := arguments.named or arguments.sweep) is not None:
        return ledger.sweep(name)
    if not (sweeps := ledger.sweeps()):
        raise UserError(NO_SWEEPS.format(ledger.root))
    return sweeps[0]


def _print_json(plain: dict[str, Any]) -> None:
    print(json.dumps(plain, indent=1, ensure_ascii=False))


def _list(ledger: Ledger, arguments: argparse.Namespace) -> int:
    sweeps = ledger.sweeps()
    found = [(sweep, rows(ledger, sweep, scheduler_of(ledger, sweep))) for sweep in sweeps]
    if arguments.json:
        _print_json({"root": str(ledger.root), "sweeps": [sweep_document(ledger, *each) for each in found]})
    elif found:
        _console().print(sweep_table(ledger, found))
    else:
        print(NO_SWEEPS.format(ledger.root))
    return 0


def _status(ledger: Ledger, arguments: argparse.Namespace) -> int:
    sweep = _sweep(ledger, arguments)
    scheduler = scheduler_of(ledger, sweep)
    problem = refreshed(ledger, scheduler)
    found = rows(ledger, sweep, scheduler)
    if problem:
        print(problem, file=sys.stderr)
    if arguments.json:
        _print_json({**sweep_document(ledger, sweep, found), "runs": [run_document(row) for row in found]})
    else:
        _console().print(run_table(ledger, sweep, found))
    return 0


def _watch(ledger: Ledger, arguments: argparse.Namespace) -> int:
    sweep = _sweep(ledger, arguments)
    found = watch(_console(), ledger, sweep, scheduler_of(ledger, sweep))
    _console().print(run_table(ledger, sweep, found))
    return int(any(row.state != RunState.done.value for row in found))


def _retry(ledger: Ledger, arguments: argparse.Namespace) -> int:
    sweep = _sweep(ledger, arguments)
    scheduler = scheduler_of(ledger, sweep)
    scheduler.refresh()
    again = [row for row in rows(ledger, sweep, scheduler) if row.over and row.state != RunState.done.value]
    print(f"{sweep.id}: {counts(row.state for row in again) or 'nothing'} to run again", flush=True)
    ended = scheduler.retry([row.run for row in again]) if again else not scheduler.busy()
    if ended and any(is_due(sweep, look) for look in standing(ledger, sweep)):
        print(f"the next look is made by: {shlex.join(sweep.command)}")
    return int(ended and any(row.run.result() is None for row in again))


def _cancel(ledger: Ledger, arguments: argparse.Namespace) -> int:
    sweep = _sweep(ledger, arguments)
    scheduler = scheduler_of(ledger, sweep)
    going = [row.run for row in rows(ledger, sweep, scheduler) if not row.over]
    print(f"{sweep.id}: {counted(scheduler.cancel(going), 'run')} stopped")
    return 0


def _sync(ledger: Ledger, arguments: argparse.Namespace) -> int:
    uri = checked_uri(arguments.uri)
    sweeps = [ledger.sweep(name) for name in [*arguments.sweep, *arguments.named]] or None
    if not arguments.follow:  # whoever started a follower looks after the sweep
        for sweep in sweeps or ledger.sweeps():
            if problem := refreshed(ledger, scheduler_of(ledger, sweep)):
                print(problem, file=sys.stderr)
    runs = [ledger.find_run(name, sweeps).key for name in arguments.run]
    if arguments.follow:
        report = follow(ledger, sweeps, uri, sys.stdin, runs=runs)
    else:
        report = sync(ledger, sweeps, uri, runs=runs)
    print(f"mlflow: {report}")
    return int(report.problem is not None)


def _logs(ledger: Ledger, arguments: argparse.Namespace) -> int:
    name = arguments.named or arguments.sweep
    sweeps = ledger.sweeps() if name is None else [ledger.sweep(name)]
    run = ledger.find_run(arguments.run, sweeps)
    if run.log_path() is None:  # a job that failed before it began has left its words with SLURM
        its = next((sweep for sweep in sweeps if run.key in sweep.names()), None)
        if its is not None:
            refreshed(ledger, scheduler_of(ledger, its))
    path = run.log_path()
    if path is None:
        raise UserError(f"run={arguments.run}: has no log yet: it is {run.state().state.value}")
    print(path, file=sys.stderr)
    lines = path.read_text("utf-8", errors="replace").splitlines()
    print("\n".join(lines if arguments.tail is None else lines[-arguments.tail :]))
    return 0
