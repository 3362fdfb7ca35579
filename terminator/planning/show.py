"""The plan as a table, or as JSON: what would run, what it costs, and what to know before it does."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from terminator.cluster.profile import ClusterProfile
from terminator.config import RunConfig, to_plain
from terminator.data.folder import describe
from terminator.ledger import Ablation, Ledger, RunState, Variant
from terminator.planning.ablation import Match
from terminator.planning.cost import cost, miss, obstacle
from terminator.planning.need import need
from terminator.planning.plan import Plan
from terminator.planning.screen import describe_screen
from terminator.planning.tuning import describe_tuning
from terminator.text import NEAR, counted, signed_percent, to_overrides

JOINTS = re.compile(r"(?<=,)|(?<=\.)(?!\d)")  # after a comma, and after a dot that is no decimal point
Power = Callable[[Plan, Ablation], Sequence[str]]


def show_plan(
    console: Console, plan: Plan, ledger: Ledger, power: Power, profile: ClusterProfile | None = None
) -> None:
    """One table an ablation, then the number of runs and what they take. `power`: sentences on what so many seeds can
    show; `profile`: of the cluster that would run them."""
    done = _done(plan, ledger)
    for ablation in plan.sweep.ablations:
        if ablation.is_tuning:
            console.print(f"{describe_tuning(ablation)}\n")
        if ablation.is_tuning or not ablation.is_chosen:
            continue
        named = f"{ablation.name} ({', '.join(plan.sweep.data)})"
        title = f"{named}: {ablation.question}" if ablation.question else named
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("variant", no_wrap=True)
        for column in ("parameters", "MFLOPs", *(["off"] if ablation.match else []), "done"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("overrides", overflow="fold")
        for variant in ablation.variants:
            row = _variant(plan, ablation, variant, done)
            off = "" if row["off"] is None else signed_percent(row["off"])
            table.add_row(
                variant.name,
                f"{row['parameters']:,}",
                f"{row['flops'] / 1e6:,.2f}",
                *([off] if ablation.match else []),
                f"{row['done']}/{row['runs']}",
                Breakable(to_overrides(variant.overrides)),
            )
        console.print(table)
        for note in [*_below(plan, ablation, power), *frozen_before(ledger, ablation)]:
            console.print(note)
    runs = len(plan.configs)
    shared = sum(1 for _ in plan.sweep.cells()) - runs
    also = f", {shared} shared between ablations" if shared else ""
    tuned = _tuned_to_come(plan, ledger)
    then = f"; then at most {counted(tuned, 'run')} with the chosen settings" if tuned else ""
    console.print(f"{counted(runs, 'run')}{also}; {len(done)} done, {runs - len(done)} to run{then}")
    for line in [*cautions(plan, ledger), *need(plan, ledger, done, profile).lines()]:
        console.print(line)


def plan_document(
    plans: Iterable[Plan], ledger: Ledger, power: Power, profile: ClusterProfile | None = None
) -> dict[str, Any]:
    """What `show_plan` prints of each plan, as JSON: numbers of parameters and FLOPs, overrides by key.

    `time`: of each plan's runs that are not done, as terminator.planning.need has it.

    `looks`: the numbers of seeds to look at; none where so few were typed that nothing is compared. `off`: how far a
    size-matched control is off its budget, as a fraction of it; None for what is no control.
    """
    ablations: list[dict[str, Any]] = []
    keys: set[str] = set()
    all_done: set[str] = set()
    needs: list[dict[str, Any]] = []
    for plan in plans:
        done = _done(plan, ledger)
        needs.append({"sweep": plan.sweep.id, **asdict(need(plan, ledger, done, profile))})
        keys, all_done = keys | plan.configs.keys(), all_done | done
        ablations += [
            {
                "name": ablation.name,
                "sweep": plan.sweep.id,
                "data": list(plan.sweep.data),
                "question": ablation.question,
                "baseline": ablation.baseline,
                "looks": list(ablation.plan.seeds) if ablation.is_judged else [],
                "variants": [_variant(plan, ablation, variant, done) for variant in ablation.variants],
                "notes": _below(plan, ablation, power),
            }
            for ablation in plan.sweep.ablations
            if ablation.is_chosen
        ]
    return {"ablations": ablations, "runs": len(keys), "done": len(all_done), "time": needs}


def _variant(plan: Plan, ablation: Ablation, variant: Variant, done: Container[str]) -> dict[str, Any]:
    costs = cost(plan.config(variant))
    return {
        "name": variant.name,
        "parameters": costs.parameters,
        "flops": costs.flops,
        "off": _miss(plan, ablation, variant) if variant.twin_of else None,
        "done": sum(key in done for key in variant.runs.values()),
        "runs": len(variant.runs),
        "overrides": dict(variant.overrides),
    }


def _tuned_to_come(plan: Plan, ledger: Ledger) -> int:
    """How many runs the tuned ablations take, without those that are done: their settings may be chosen already."""
    frozen = {each.name: each for sweep in ledger.sweeps() if sweep.id == plan.sweep.id for each in sweep.ablations}
    tuned = [each for each in plan.sweep.ablations if each.tuned_by]
    count = sum(len(each.variants) * len(each.seeds) for each in tuned)
    keys = [
        variant.runs.get(seed)
        for each in tuned
        if each.name in frozen
        for variant in frozen[each.name].variants
        for seed in each.seeds
    ]
    return count - sum(key is not None and ledger.run(key).result() is not None for key in keys)


def frozen_before(ledger: Ledger, ablation: Ablation) -> list[str]:
    """What it means that a question has another plan of looks than the one that was typed now; nothing where not."""
    frozen = ledger.looks(ablation).plan() if ablation.is_judged else None
    if frozen is None or frozen == ablation.plan:
        return []
    was, now = (", ".join(map(str, plan.seeds)) for plan in (frozen, ablation.plan))
    return [
        f"This question's looks were planned at {was} seeds; of {now} typed now, those beyond that plan share its "
        f"reserve, {100 * frozen.level * frozen.reserve:.2g} % of error in all."
    ]


def _done(plan: Plan, ledger: Ledger) -> set[str]:
    return {key for key in plan.configs if ledger.run(key).state().state is RunState.done}


def _below(plan: Plan, ablation: Ablation, power: Power) -> list[str]:
    """The lines under an ablation's table."""
    if ablation.is_tuning:
        return [describe_tuning(ablation)]
    lines = [*([describe_screen(ablation)] if ablation.is_screen else []), *notes(plan, ablation)]
    if (rows := len(ablation.variants)) == 1:
        return lines
    if ablation.looks is not None:
        seeds = ablation.looks.seeds
        most = f"{rows * seeds[0]} runs to the first, at most {rows * seeds[-1]}"
        lines.append(f"Looks at {', '.join(map(str, seeds))} seeds, each of what is undecided by then: {most}.")
    return [*lines, *power(plan, ablation)]


def notes(plan: Plan, ablation: Ablation) -> list[str]:
    """Lines on a user's own data, variants that are the baseline or each other, and controls that miss their budget."""
    if ablation.is_tuning or not ablation.is_chosen:
        return []
    data = [config.data for config in plan.configs.values() if config.data.format == "folder"]
    lines = [
        f"data.folder={folder}: {describe(each)}." for folder, each in {each.folder: each for each in data}.items()
    ]
    lines += [
        f"{name} is the same configuration as the baseline {ablation.baseline}, whose row stands for it."
        for name in plan.merged.get(ablation.name, ())
    ]
    lines += [
        f"{' and '.join(names)} are the same network: their settings come to equal channels and values."
        for names in same_runs(plan, ablation)
    ]
    for variant in ablation.variants:
        if variant.twin_of and abs(off := _miss(plan, ablation, variant)) > NEAR:
            match, baseline = Match(ablation.match), ablation.variants[0]
            budget = cost(plan.config(baseline))
            lines.append(
                f"{variant.name} misses the {budget.of(match):,} {match.value} of {baseline.name} by "
                f"{signed_percent(off)}: {obstacle(plan.config(variant), budget, match)}."
            )
    return lines


MOST_READ = 300  # finished runs


def cautions(plan: Plan, ledger: Ledger) -> list[str]:
    """Lines on runs that may not train as one thinks: that end within their warm-up, or start anew for more epochs."""
    lengths = {(each.training.epochs, each.training.warmup_epochs) for each in plan.configs.values()}
    return [
        f"training.epochs={epochs}: training ends within training.warmup_epochs={warmup:g}, before the learning rate "
        "has reached optimizer.lr."
        for epochs, warmup in sorted(lengths)
        if warmup > epochs
    ] + _finished_shorter(plan, ledger)


def _finished_shorter(plan: Plan, ledger: Ledger) -> list[str]:
    """A line for each number of epochs that runs of the plan have finished with, but for which they are to run."""
    missing = (config for key, config in plan.configs.items() if not (ledger.run(key).folder / "result.json").exists())
    planned = {_but_epochs(to_plain(config)): config.training.epochs for config in missing}
    found: Counter[tuple[int, int]] = Counter()
    finished = (run for run in ledger.runs() if planned and (run.folder / "result.json").exists())
    for run in itertools.islice(finished, MOST_READ):
        config = run.spec().config
        if (epochs := planned.get(_but_epochs(config))) not in (None, config["training"]["epochs"]):
            found[epochs, config["training"]["epochs"]] += 1
    return [
        f"training.epochs={epochs}: {counted(count, 'run')} finished with {before}, and cannot go on from there, as "
        "the learning rate has fallen to 0 by then: trained from the start."
        for (epochs, before), count in sorted(found.items())
    ]


def _but_epochs(config: Mapping[str, Any]) -> str:
    """All else that a run's result depends on, of its configuration."""
    training, data = {**config["training"], "epochs": None}, {**config["data"], "folder": None, "repository": None}
    threads = config.get("machine", {}).get("threads")
    return json.dumps({**config, "training": training, "data": data, "machine": threads}, sort_keys=True)


def _miss(plan: Plan, ablation: Ablation, variant: Variant) -> float:
    """How far a control is off its budget, as a share of it."""
    return miss(plan.config(variant), cost(plan.config(ablation.variants[0])), Match(ablation.match))


def same_runs(plan: Plan, ablation: Ablation) -> list[list[str]]:
    """The names that mean the same network, trained in the same way; each list has at least two."""
    names: dict[str, list[str]] = {}
    for variant in ablation.variants:
        names.setdefault(_meaning(plan.config(variant)), []).append(variant.name)
    return [alike for alike in names.values() if len(alike) > 1]


def _meaning(config: RunConfig) -> str:
    """The configuration, the model's equivalent settings resolved."""
    plain = to_plain(config, key_only=True)
    plain["model"] = to_plain(config.model.canonical(config.data.input_shape[1:]))
    return json.dumps(plain, sort_keys=True)


class Breakable:
    """Overrides one below the other, each broken at its joints where the width of the cell asks for it."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = overrides

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [line for override in self._overrides for line in broken(override, options.max_width)]
        yield Text("\n".join(lines), overflow="fold")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        pieces = (piece for override in self._overrides for piece in broken(override, 1))
        return Measurement(_longest(pieces), _longest(self._overrides))


def broken(override: str, width: int) -> list[str]:
    """Lines of at most `width`, each as full as the joints allow; longer only where there is no joint."""
    lines = [""]
    for piece in JOINTS.split(override):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def _longest(lines: Iterable[str]) -> int:
    return max(map(len, lines), default=0)
