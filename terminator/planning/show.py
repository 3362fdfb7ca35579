"""The plan as a table: what would run, and what it costs."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from terminator.config import to_plain
from terminator.counting import counted
from terminator.ledger import Ledger, RunState, Sweep
from terminator.planning.budget import signed_percent
from terminator.planning.matching import miss
from terminator.planning.notes import notes
from terminator.planning.plan import Plan, PlannedAblation, PlannedVariant
from terminator.planning.variants import to_words
from terminator.planning.wrap import Words


def show_plan(console: Console, plan: Plan, sweep: Sweep, ledger: Ledger) -> None:
    """One table an ablation, then the number of runs: in all, done already, shared between ablations."""
    for planned, frozen in zip(plan.ablations, sweep.ablations, strict=True):
        title = f"{planned.name}: {planned.settings.question}" if planned.settings.question else planned.name
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("variant", no_wrap=True)
        match = planned.settings.match
        for column in ("parameters", "MFLOPs", *(["off"] if match else []), "done"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("overrides", overflow="fold")
        for each, variant in zip(planned.variants, frozen.variants, strict=True):
            done = sum(ledger.run(key).state().state is RunState.done for key in variant.runs.values())
            table.add_row(
                each.variant.name,
                f"{each.cost.parameters:,}",
                f"{each.cost.flops / 1e6:,.2f}",
                *([_off(planned, each)] if match else []),
                f"{done}/{len(variant.runs)}",
                Words(to_words(each.variant.overrides)),
            )
        console.print(table)
        for note in notes(planned):
            console.print(note)
        _print_power(console, planned, ledger)
    keys = sweep.keys()
    done = sum(ledger.run(key).state().state is RunState.done for key in keys)
    shared = sum(1 for _ in sweep.cells()) - len(keys)
    also = f", {shared} shared between ablations" if shared else ""
    console.print(f"{counted(len(keys), 'run')}{also}; {done} done, {len(keys) - done} to run")


def _off(planned: PlannedAblation, each: PlannedVariant) -> str:
    """How far a twin is off its budget."""
    match = planned.settings.match
    if match is None or each.variant.twin_of is None:
        return ""
    return signed_percent(miss(each.config, planned.variants[0].cost, match))


def _print_power(console: Console, planned: PlannedAblation, ledger: Ledger) -> None:
    from analysis.power_note import power_note  # scipy takes a second to import, and only plans need it

    variants = len(planned.variants) - 1
    if variants:
        seeds = len(planned.settings.seeds)
        config = to_plain(planned.variants[0].config)
        console.print(power_note(ledger.root, planned.name, config=config, seeds=seeds, variants=variants))
