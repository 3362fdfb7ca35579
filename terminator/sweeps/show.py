"""Sweeps and runs as tables."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from terminator.errors import UserError, storage_errors
from terminator.ledger import Ledger, Run, RunState, Status, Sweep
from terminator.sweeps.scheduler import Scheduler, scheduler_of
from terminator.text import counted, moment, to_overrides
from terminator.tracking import LiveSync


def refreshed(ledger: Ledger, scheduler: Scheduler) -> str | None:
    """Look at what goes on, for a command that only shows it: returns what kept it from being recorded, in a line."""
    try:
        with storage_errors(ledger.root):
            scheduler.refresh()
    except UserError as error:
        return f"terminator: {error}; shown is what the ledger knows"
    return None


QUEUED = "queued"
STYLES = {"done": "green", "running": "cyan", "failed": "bold red", "preempted": "yellow", "interrupted": "yellow"}


@dataclass(frozen=True)
class Row:
    """A run in its place, and where it stands. `state` as in the ledger, or `queued`."""

    name: str
    run: Run
    status: Status
    state: str
    job: str | None
    seconds_left: float | None

    @property
    def host(self) -> str | None:
        """The machine that has it, or had it last; of a job its node."""
        return (self.status.job.node if self.status.job else None) or self.status.host

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state not in (RunState.running.value, QUEUED)


def rows(ledger: Ledger, sweep: Sweep, scheduler: Scheduler) -> list[Row]:
    """Every run of the sweep, once, in the plan's order."""
    return [_row(name, ledger.run(key), scheduler) for key, name in sweep.names().items()]


def _row(name: str, run: Run, scheduler: Scheduler) -> Row:
    status = run.state(scheduler.alive)
    running = status.state is RunState.running
    queued = None if running or status.state is RunState.done else scheduler.queued(run)
    return Row(
        name=name,
        run=run,
        status=status,
        state=QUEUED if queued else status.state.value,
        job=queued or (status.job.id if status.job else None),
        seconds_left=_seconds_left(run, scheduler.seconds_left(run)) if running else None,
    )


def _seconds_left(run: Run, limit: float | None) -> float | None:
    """To the run's last epoch at its pace so far, or to its time limit if that comes first."""
    attempt = run.last_attempt()
    if attempt is None or attempt.progress is None or attempt.started is None:
        return limit
    progress, origin = attempt.progress, attempt.resumed_from
    steps = max(progress.steps_per_epoch, 1)
    done = progress.epoch - 1 + progress.step / steps
    here = done - (origin.epoch + origin.step / steps if origin else 0)
    if here <= 0:
        return limit
    left = max((progress.updated - attempt.started) / here * (progress.epochs - done), 0.0)
    return left if limit is None else min(left, limit)


def counts(states: Iterable[str]) -> str:
    """`30 done, 2 running, 1 failed`."""
    return ", ".join(f"{number} {state}" for state, number in Counter(states).most_common())


def sweep_table(ledger: Ledger, found: Iterable[tuple[Sweep, Sequence[Row]]]) -> Table:
    """Sweeps, each with its runs."""
    columns = ("sweep", "data", "settings", "last called", "runs", "states")
    table = Table(*columns, title=str(ledger.root), title_justify="left")
    for sweep, runs in found:
        table.add_row(
            Text(sweep.id),
            ", ".join(sweep.data),
            Text(" ".join([*sweep.settings, *_held_seeds(sweep)])),
            moment(sweep.last_called),
            str(len(runs)),
            counts(row.state for row in runs),
        )
    return table


def _held_seeds(sweep: Sweep) -> list[str]:
    """What `ablation.vary` comes to, which every variant has among its overrides."""
    overrides = {key: value for key, value in sweep.ablations[0].variants[0].overrides.items() if "seed_of." in key}
    return to_overrides(overrides)


def standing(ledger: Ledger, sweep: Sweep) -> list[dict[str, Any]]:
    """Where the looks of each ablation stand: looks made and planned, rows decided, runs to come at the next look."""
    found = []
    for ablation in (each for each in sweep.ablations if each.id and each.is_judged):
        looks = ledger.looks(ablation)
        made, plan = looks.made(), looks.plan() or ablation.plan
        seeds = len(made[-1].seeds) if made else 0
        is_screen = ablation.is_screen  # of which effects are judged, that take every cell
        rows = list(ablation.variants[0].factors if is_screen else (each.name for each in ablation.variants[1:]))
        undecided = made[-1].undecided if made else tuple(rows)
        following = next((number for number in ablation.plan.seeds if number > seeds), None) if undecided else None
        wanted = ablation.first_seeds(following or 0)
        open_rows = [each for each in ablation.variants if is_screen or each.name in (ablation.baseline, *undecided)]
        keys = [each.runs.get(seed) for each in open_rows for seed in wanted]
        found.append(
            {
                "ablation": ablation.name,
                "look": len(made),
                "looks": len(plan.seeds),
                "seeds": seeds,
                "rows": len(rows),
                "decided": len(rows) - len(undecided),
                "next_seeds": following,
                "runs_to_come": sum(key is None or ledger.run(key).result() is None for key in keys),
            }
        )
    return found


def is_due(sweep: Sweep, look: Mapping[str, Any]) -> bool:
    """Whether the sweep's command would make a further look; `look`: one of `standing`."""
    return look["next_seeds"] is not None and (sweep.most_looks is None or look["look"] < sweep.most_looks)


def standing_text(look: Mapping[str, Any]) -> str:
    """`gating: look 2 of 5 made (5 seeds), 3 of 5 rows decided; next: 8 seeds, 9 runs to come`."""
    made = f"look {look['look']} of {look['looks']} made ({counted(look['seeds'], 'seed')})" if look["look"] else ""
    decided = f"{look['decided']} of {counted(look['rows'], 'row')} decided"
    if look["next_seeds"]:
        then = f"next: {counted(look['next_seeds'], 'seed')}, {counted(look['runs_to_come'], 'run')} to come"
    else:
        then = "every row is decided" if look["decided"] == look["rows"] else "the last look is made"
    return f"{look['ablation']}: {made or 'no look yet'}, {decided}; {then}"


def run_table(ledger: Ledger, sweep: Sweep, found: list[Row]) -> Table:
    """The runs of a sweep: state, progress, where, why, log."""
    with_jobs = any(row.job for row in found)
    columns = ["run", "state", "epoch", "left", "attempts", "host", *(["job"] if with_jobs else []), "why", "log"]
    caption = "\n".join([counts(row.state for row in found), *map(standing_text, standing(ledger, sweep))])
    table = Table(
        *columns, title=f"{sweep.id} in {ledger.root}", caption=caption, title_justify="left", caption_justify="left"
    )
    for row in found:
        status = row.status
        why = ": ".join(filter(None, [status.reason.value if status.reason else "", status.message]))
        log = row.run.log_path()
        table.add_row(
            Text(row.name),
            Text(row.state, STYLES.get(row.state, "")),
            f"{status.epoch}/{status.epochs}" if status.epochs else "",
            duration(row.seconds_left),
            str(status.attempts),
            row.host or "",
            *([row.job or ""] if with_jobs else []),
            Text(why, overflow="fold"),
            Text(str(log.relative_to(ledger.root)) if log else "", overflow="fold"),
        )
    return table


def sweep_document(ledger: Ledger, sweep: Sweep, found: Sequence[Row]) -> dict[str, Any]:
    """What `sweep_table` shows of a sweep, as JSON; `created` and `called`, the last time, in seconds since 1970."""
    return {
        "sweep": sweep.id,
        "data": list(sweep.data),
        "settings": [*sweep.settings, *_held_seeds(sweep)],
        "created": sweep.created,
        "called": sweep.last_called,
        "states": dict(Counter(row.state for row in found).most_common()),
        "looks": standing(ledger, sweep),
    }


def run_document(row: Row) -> dict[str, Any]:
    """What `run_table` shows of a run, as JSON; `log`: the path of its newest log."""
    status, log = row.status, row.run.log_path()
    return {
        "name": row.name,
        "key": row.run.key,
        "state": row.state,
        "epoch": status.epoch,
        "epochs": status.epochs,
        "seconds_left": row.seconds_left,
        "attempts": status.attempts,
        "host": row.host,
        "job": row.job,
        "reason": status.reason.value if status.reason else None,
        "message": status.message or None,
        "log": str(log) if log else None,
    }


def duration(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


SECONDS_BETWEEN = 2.0


def watch(console: Console, ledger: Ledger, sweep: Sweep, scheduler: Scheduler) -> list[Row]:
    """Show the sweep, and keep MLflow up to date, until no run is queued or running.

    Where there is no terminal, a line whenever the counts change.
    """
    follower = LiveSync(ledger, [sweep]) if sweep.tracked else None
    shown, problem = "", None
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                if (now := ledger.sweep(sweep.id)).keys() != sweep.keys():  # another look has come
                    sweep, scheduler = now, scheduler_of(ledger, now)
                problem, before = refreshed(ledger, scheduler), problem
                if problem and problem != before:
                    console.print(problem, soft_wrap=True)
                found = rows(ledger, sweep, scheduler)
                if all(row.over for row in found) and not scheduler.busy():
                    return found
                states = counts(row.state for row in found)
                if console.is_terminal:
                    live.update(run_table(ledger, sweep, found), refresh=True)
                elif states != shown:
                    console.print(f"{sweep.id}: {states}")
                shown = states
                time.sleep(SECONDS_BETWEEN)
    finally:
        if follower:
            console.print(follower.close(), soft_wrap=True)
