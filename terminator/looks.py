"""Carry sweeps out from look to look: run what the next look needs, make it, and give the undecided more seeds.

    python -m terminator.looks ARRAY_FOLDER     the job of a cluster that does so when the jobs of a look have ended

All that it knows is in the ledger, so it goes on wherever it was stopped, and comes to the same table.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from terminator.analysis.load import load
from terminator.analysis.measured import judged
from terminator.analysis.message import tell
from terminator.analysis.metrics import Metric, metric
from terminator.analysis.report import report_folder, write_report
from terminator.analysis.statistics.looks import next_look, take_look
from terminator.analysis.summary import summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.render import print_table, write_tables
from terminator.config import from_plain, to_plain
from terminator.errors import UserError, storage_errors
from terminator.ledger import Ablation, Ledger, Look, Reason, Run, RunState, Sweep, Variant, distinctions
from terminator.run_key import code_hash, run_key
from terminator.sweeps.scheduler import Scheduler, scheduler_of
from terminator.text import counted, file_name
from terminator.tracking import sync
from terminator.tracking.uri import is_server

FOR_GOOD = (Reason.exception, Reason.diverged, Reason.out_of_memory)  # a repetition would end alike
STOPPED = (Reason.cancelled, Reason.interrupted)  # by somebody, on purpose
MOST_TRIES = 3  # of a run that is killed, or cut off by a time limit, again and again

Say = Callable[[str], None]


@dataclass
class Outcome:
    """`sweeps` as they are in the ledger now; `missing`: runs that were to be made and have no result.

    `ended`: whether nothing goes on without this process.
    """

    sweeps: list[Sweep]
    missing: list[Run]
    ended: bool = True


def carry_out(
    ledger: Ledger,
    sweeps: Sequence[Sweep],
    scheduler: Callable[[Sequence[Sweep]], Scheduler],
    say: Say,
    ended: Collection[str] = (),
) -> Outcome:
    """Go from look to look until every row is decided, the last look is made, or the sweep's limits are reached.

    `scheduler`: makes the one for sweeps as they are now. `say`: prints a line. `ended`: the keys of runs that are not
    to be tried again. Raises UserError where runs are refused, and KeyboardInterrupt after an orderly stop.
    """
    current, tried = list(sweeps), set(ended)
    while True:
        needed: list[tuple[int, Run]] = []
        fresh: list[tuple[Sweep, str]] = []
        for place, sweep in enumerate(current):
            current[place], due, looked = advance(ledger, sweep, tried)
            needed += due
            fresh += [(current[place], name) for name in looked]
        runs = [run for _, run in sorted(needed, key=lambda pair: pair[0])]  # seed by seed: always whole pairs
        runs = list({run.key: run for run in runs}.values())
        todo = [run for run in runs if run.key not in tried]
        if len(todo) < len(runs) or not todo:  # one that was tried, and may yet succeed, is for the next command
            return Outcome(current, _without_result(ledger, tried | {run.key for run in runs}))
        until = min((sweep.until for sweep in current if sweep.until is not None), default=None)
        if until is not None and time.time() >= until:
            say(f"sweep.budget_min is spent; {counted(len(todo), 'run')} to the next look: the same command goes on")
            return Outcome(current, _without_result(ledger, tried))
        for sweep, name in fresh:
            _print(ledger, sweep, name)
        if not scheduler(current).start(todo):
            return Outcome(current, [], ended=False)
        begun = {run.key for run in todo if run.attempt_numbers()}
        if len(begun) < len(todo) and not (until is not None and time.time() >= until):
            return Outcome(current, _without_result(ledger, tried | {run.key for run in todo}))
        tried |= begun


def _without_result(ledger: Ledger, keys: Collection[str]) -> list[Run]:
    return [run for run in map(ledger.run, sorted(keys)) if run.result() is None]


def advance(ledger: Ledger, sweep: Sweep, tried: Collection[str]) -> tuple[Sweep, list[tuple[int, Run]], list[str]]:
    """Make the looks whose runs have all ended.

    Returns the sweep, with the runs of the next look; those of them that are needed for it, each with the place of its
    seed; and the ablations of which a look was made. A run that failed for good is needed no longer if it is in
    `tried`, the keys of the runs that were tried since the command was typed.
    """
    needed: list[tuple[int, Run]] = []
    looked = []
    for name in [ablation.name for ablation in sweep.ablations]:
        if (tuned := _with_tuned(ledger, sweep, name, tried)) is not None:
            sweep, due, made = _advance(ledger, tuned, name, tried)
            needed += due
            looked += [name] * made
    return sweep, needed, looked


def _advance(
    ledger: Ledger, sweep: Sweep, name: str, tried: Collection[str]
) -> tuple[Sweep, list[tuple[int, Run]], bool]:
    """As `advance`, for one ablation whose settings are chosen."""
    looked = False
    while True:
        ablation = sweep.ablation(name)
        made = ledger.looks(ablation).made() if ablation.is_judged else []
        variants, seeds, is_next = _wanted(ledger, sweep, ablation, made, tried)
        sweep = _with_runs(ledger, sweep, ablation, variants, seeds)
        ablation = sweep.ablation(name)
        due = [
            (place, run)
            for place, seed in enumerate(seeds)
            for each in ablation.variants
            if each.name in variants and not _settled(run := ledger.run(each.runs[seed]), tried)
        ]
        if due or not ablation.is_judged:
            return sweep, due, looked
        look = _look(ledger, sweep, ablation, made, seeds)
        if look is not None and look.number > len(made):
            ledger.looks(ablation).record(look)
            looked = True
        if look is None or not is_next:
            return sweep, [], looked


def _with_tuned(ledger: Ledger, sweep: Sweep, name: str, tried: Collection[str]) -> Sweep | None:
    """The sweep with what tuning chose for the ablation's variants as their overrides; None while it is not over."""
    ablation = sweep.ablation(name)
    if ablation.tuned_by is None:
        return sweep
    tuning = sweep.ablation(ablation.tuned_by)
    chosen = ledger.looks(ablation).tuned()
    if chosen is None:
        if not all(_settled(ledger.run(key), tried) for each in tuning.variants for key in each.runs.values()):
            return None
        chosen = ledger.looks(ablation).choose(_best_candidates(ledger, tuning))
    candidates = {each.name: each for each in tuning.variants}
    variants = [replace(each, overrides=candidates[chosen[each.name]].overrides) for each in ablation.variants]
    return sweep.with_ablation(replace(ablation, variants=variants))


def _best_candidates(ledger: Ledger, tuning: Ablation) -> dict[str, str]:
    """Variant → the name of its candidate with the best mean metric; of equals the one listed first.

    Candidates without a result at some seed (diverged, out of memory) come after those that have all; where none has
    any, the first stands, and its final runs will show what is wrong.
    """
    by_variant: dict[str, list[Variant]] = {}
    for candidate in tuning.variants:
        by_variant.setdefault(str(candidate.candidate_of), []).append(candidate)
    sign = 1.0 if tuning.higher_is_better else -1.0

    def rank(candidate: Variant) -> tuple[int, float]:
        results = [ledger.run(key).result() for key in candidate.runs.values()]
        values = [float(each.metrics[tuning.metric]) for each in results if each is not None]
        return len(values), sign * fmean(values) if values else 0.0

    return {variant: max(candidates, key=rank).name for variant, candidates in by_variant.items()}


def _wanted(
    ledger: Ledger, sweep: Sweep, ablation: Ablation, made: Sequence[Look], tried: Collection[str]
) -> tuple[list[str], list[int], bool]:
    """The variants and seeds of the look to make, or else of the last one, and whether it is a further one."""
    names = [variant.name for variant in ablation.variants]
    if ablation.looks is None:  # a fixed list of seeds is run as it was typed, also for what is decided
        return names, list(ablation.seeds), False
    plan = ledger.looks(ablation).plan() or ablation.plan
    open_ones = [variant.name for variant in ablation.variants[1:] if not _is_hopeless(ledger, variant, tried)]
    step = next_look(plan, made, open_ones, ablation.looks.seeds)
    if step is not None and step.asked_for and (sweep.most_looks is None or step.number <= sweep.most_looks):
        return [names[0], *step.variants], ablation.first_seeds(step.seeds), True
    if not made:
        return names, ablation.first_seeds(ablation.looks.seeds[0]), False
    return [names[0], *(each for each in made[-1].undecided if each in open_ones)], list(made[-1].seeds), False


def _is_hopeless(ledger: Ledger, variant: Variant, tried: Collection[str]) -> bool:
    """Whether every run of the variant so far has failed for good: more seeds would fail, too."""
    runs = [ledger.run(key) for key in variant.runs.values()]
    return bool(runs) and all(run.result() is None and _settled(run, tried) for run in runs)


def _settled(run: Run, tried: Collection[str]) -> bool:
    """Whether a look need not wait for the run: it is done, or has failed in such a way that it would again."""
    status = run.state()
    if status.state is RunState.done:
        return True
    if status.state is not RunState.failed or run.key not in tried:
        return False
    failures = [attempt for attempt in run.attempts() if attempt.end and attempt.end.outcome is RunState.failed]
    return status.reason in FOR_GOOD or len(failures) >= MOST_TRIES


def _with_runs(
    ledger: Ledger, sweep: Sweep, ablation: Ablation, variants: Collection[str], seeds: Sequence[int]
) -> Sweep:
    """The sweep with these variants' runs at these seeds, frozen as their other seeds were.

    Raises UserError where the code is not the one that those were frozen with.
    """
    grown = [
        replace(each, runs={**each.runs, **_freeze(ledger, each, _sibling(sweep, ablation, each), seeds)})
        if each.name in variants
        else each
        for each in ablation.variants
    ]
    if grown == list(ablation.variants):
        return sweep
    return ledger.write_sweep(sweep.with_ablation(replace(ablation, variants=grown)))


def _sibling(sweep: Sweep, ablation: Ablation, variant: Variant) -> str:
    """The key of a run with the variant's settings: one of its own, or that of the candidate that it was tuned to."""
    tried = () if ablation.tuned_by is None else sweep.ablation(ablation.tuned_by).variants
    alike = [each for each in tried if each.candidate_of == variant.name and each.overrides == variant.overrides]
    return next(key for each in (variant, *alike) for key in each.runs.values())


def _freeze(ledger: Ledger, variant: Variant, sibling_key: str, seeds: Sequence[int]) -> dict[int, str]:
    new = [seed for seed in seeds if seed not in variant.runs]
    if not new:
        return {}
    sibling = ledger.run(sibling_key)
    spec = sibling.spec()
    config = from_plain(spec.config)
    if (now := code_hash(config)) != spec.code.hash:
        raise UserError(
            f"{variant.name}: its runs were frozen with other code (code={spec.code.hash}, now {now}): "
            "check that commit out, or type the sweep's command again"
        )
    seeded = {seed: replace(config, seed=seed) for seed in new}
    return {seed: ledger.freeze_like(sibling, run_key(each), to_plain(each)).key for seed, each in seeded.items()}


def _look(ledger: Ledger, sweep: Sweep, ablation: Ablation, made: Sequence[Look], seeds: Sequence[int]) -> Look | None:
    """The look at these seeds; one of `made` where nothing has changed since, None where the baseline has no result."""
    results = load(ledger.root, ablation.name, sweep=sweep.id)
    values, _, higher_is_better, margin, _, resolution = judged(results, results.questions[0])
    if not values[ablation.baseline]:
        return None
    plan = ledger.looks(ablation).plan() or ledger.looks(ablation).freeze(ablation.plan)
    return take_look(
        plan,
        made,
        seeds,
        values,
        ablation.baseline,
        margin=margin,
        resolution=resolution,
        higher_is_better=higher_is_better,
    )


def _print(ledger: Ledger, sweep: Sweep, name: str) -> None:
    """Print the table as it stands, and write it where the report will be."""
    results = load(ledger.root, name, sweep=sweep.id)
    tables = build_tables([summarize(results, results.questions[0])])
    print_table(tables[0])
    sys.stdout.flush()
    write_tables(tables, _tables(ledger, sweep, name))


def last_tables(ledger: Ledger, sweeps: Sequence[Sweep]) -> list[Path]:
    """The tables of the sweeps' last looks, as Markdown, where any have been made."""
    paths = [
        _tables(ledger, sweep, each.name) / file_name(f"{each.name}.md") for sweep in sweeps for each in sweep.ablations
    ]
    return [path for path in paths if path.exists()]


def _tables(ledger: Ledger, sweep: Sweep, name: str) -> Path:
    return report_folder(ledger.root, [name], sweep) / "tables"


class Board:
    """The tables of sweeps while their runs go on: what each variant came to, and the verdict of the last look."""

    def __init__(self, ledger: Ledger, sweeps: Sequence[Sweep]) -> None:
        self._ledger = ledger
        self._ablations: list[Ablation] = []
        self._distinctions: list[str] = []
        for sweep, distinction in zip(sweeps, distinctions(sweeps), strict=True):
            own = [each for each in sweep.ablations if not each.is_tuning]
            self._ablations += own
            self._distinctions += [distinction] * len(own)
        looks = [ledger.looks(each).made() for each in self._ablations]
        self._decisions = [made[-1].decisions if made else {} for made in looks]
        self._values: dict[str, float | None] = {}  # by run key

    def __call__(self) -> Table:
        """The table as it stands."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("variant", no_wrap=True)
        for column in ("seeds", "mean ± std"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        before = ""
        for ablation, decisions, which in zip(self._ablations, self._decisions, self._distinctions, strict=True):
            if which != before:
                table.add_row(Text(which, style="bold"), "", "", "")
                before = which
            shown = metric(ablation.metric, ablation.higher_is_better)
            verdicts = {ablation.baseline: "baseline"} | {name: each.verdict.shown for name, each in decisions.items()}
            for variant in ablation.variants:
                found = [self._value(key, shown) for key in variant.runs.values()]
                known = [value for value in found if value is not None]
                spread = f" ± {stdev(known):.2f}" if len(known) > 1 else ""
                verdict = verdicts.get(variant.name, "")
                mean = f"{fmean(known):.2f}{spread}" if known else ""
                table.add_row(Text(variant.name), f"{len(known)}/{len(found)}", mean, verdict)
        return table

    def _value(self, key: str, shown: Metric) -> float | None:
        if key not in self._values and (result := self._ledger.run(key).result()) is not None:
            logged = result.metrics.get(shown.logged)
            self._values[key] = None if logged is None else shown.shown(logged)
        return self._values.get(key)


def main() -> int:
    """Make the look whose jobs have ended, submit the next one's runs, or write the report. Returns an exit code."""
    folder = Path(sys.argv[1])
    ledger = Ledger(folder.parents[3])
    with storage_errors(ledger.root):
        sweep = ledger.sweep(folder.parents[1].name)
    try:
        with storage_errors(ledger.root):
            return _carry_on(ledger, sweep)
    except UserError as error:
        _tell(ledger, sweep, problem=str(error))
        raise


def _carry_on(ledger: Ledger, sweep: Sweep) -> int:
    scheduler_of(ledger, sweep).refresh()
    ended = {run.key for run in ledger.runs_of([sweep]) if _settled(run, {run.key}) or run.state().reason in STOPPED}
    outcome = carry_out(ledger, [sweep], lambda now: scheduler_of(ledger, now[0]), print, ended)
    if not outcome.ended:
        return 0
    write_report(ledger.root, sweep=sweep.id)
    if sweep.tracked and is_server(sweep.tracking_uri or ""):  # a file is left to whoever watches
        print(f"mlflow: {sync(ledger, [sweep])}")
    _tell(ledger, ledger.sweep(sweep.id))
    for run in outcome.missing:
        print(f"run {run.key} has no result: {run.state().message or run.state().state.value}")
    return int(bool(outcome.missing))


def _tell(ledger: Ledger, sweep: Sweep, problem: str = "") -> None:
    if unsent := tell(ledger, sweep, problem=problem):
        print(f"terminator: {unsent}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"terminator: {error}")
        sys.exit(2)
