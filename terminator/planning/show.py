"""The plan as a table: what would run, and what it costs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from terminator.config import RunConfig, to_plain
from terminator.ledger import Ledger, RunState, Sweep
from terminator.planning.ablation import to_words
from terminator.planning.cost import miss, obstacle, spent
from terminator.planning.plan import Plan, PlannedAblation, PlannedVariant
from terminator.text import NEAR, counted, signed_percent


def same_runs(variants: Sequence[PlannedVariant]) -> list[list[str]]:
    """The names that mean the same network, trained in the same way; each list has at least two."""
    names: dict[str, list[str]] = {}
    for each in variants:
        names.setdefault(_meaning(each.config), []).append(each.variant.name)
    return [alike for alike in names.values() if len(alike) > 1]


def _meaning(config: RunConfig) -> str:
    """The configuration, the model's equivalent settings resolved."""
    plain = to_plain(config, key_only=True)
    plain["model"] = to_plain(config.model.canonical(config.data.input_shape[1:]))
    return json.dumps(plain, sort_keys=True)


def notes(planned: PlannedAblation) -> list[str]:
    """Lines on variants that are the same network, and on twins that miss their budget."""
    same = [
        f"{' and '.join(names)} are the same network: their words come to equal channels and settings."
        for names in same_runs(planned.variants)
    ]
    return [*same, *_far_twins(planned)]


def _far_twins(planned: PlannedAblation) -> list[str]:
    match = planned.settings.match
    if match is None:
        return []
    baseline = planned.variants[0]
    lines = []
    for each in planned.variants:
        if each.variant.twin_of and abs(off := miss(each.config, baseline.cost, match)) > NEAR:
            budget = f"{spent(baseline.cost, match):,} {match.value} of {baseline.variant.name}"
            why = obstacle(each.config, baseline.cost, match)
            lines.append(f"{each.variant.name} misses the {budget} by {signed_percent(off)}: {why}.")
    return lines


JOINTS = re.compile(r"(?<=,)|(?<=\.)(?!\d)")  # after a comma, and after a dot that is no decimal point


def broken(word: str, width: int) -> list[str]:
    """The word in lines of at most `width`, each as full as its joints allow; longer only where it has none."""
    lines = [""]
    for piece in JOINTS.split(word):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


class Words:
    """Words one below the other, each in as many lines as the width of its cell asks for."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for word in self._words for line in broken(word, options.max_width)]
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_longest(broken(word, 1) for word in self._words), _longest([self._words]))


def _longest(groups: Iterable[Sequence[str]]) -> int:
    return max((len(each) for group in groups for each in group), default=0)


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
    from terminator.analysis.power import power_note

    variants = len(planned.variants) - 1
    if variants:
        seeds = len(planned.settings.seeds)
        config = to_plain(planned.variants[0].config)
        console.print(power_note(ledger.root, planned.name, config=config, seeds=seeds, variants=variants))
