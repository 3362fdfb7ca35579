"""Train one model; with `-m`, plan a sweep, carry it out, and report.

A sweep is planned, frozen into the ledger, started by the scheduler that the command asks for, and reported. Nothing
below imports terminator.analysis: it is called from here alone, for the report and for the power of a plan.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.experimental.callback import Callback
from hydra.types import HydraContext, RunMode, TaskFunction
from hydra.utils import get_class
from omegaconf import DictConfig
from rich.console import Console

from terminator import entry
from terminator.config import shipped, to_plain
from terminator.errors import UserError, storage_errors
from terminator.ledger import (
    EXIT_CODES,
    EXIT_DIVERGED,
    Ablation,
    Ledger,
    Provenance,
    Run,
    RunState,
    Sweep,
    default_root,
    provenance,
)
from terminator.planning.compose import INPUT_ERRORS, Composer, check_words, format_error, read_command_line, typed
from terminator.planning.plan import Plan, Planner
from terminator.planning.settings import Settings, register_schemas
from terminator.planning.show import cautions, frozen_before, notes, plan_document, show_plan
from terminator.run_key import run_key
from terminator.sweeps.scheduler import Launch, Scheduler, scheduler_for, scheduler_of
from terminator.sweeps.show import watch
from terminator.text import counted, did_you_mean, done_already, moment
from terminator.tracking import LiveSync, sync
from terminator.training.device import check_device

DEFAULT_LAUNCHER = "basic"  # Hydra's; in its place each run gets a process of its own
OWN_SWEEPER = "ablation"
SHOW_TRACES = os.environ.get("HYDRA_FULL_ERROR") == "1"

register_schemas()


class RunFailed(Exception):  # noqa: N818 — what happened, to the sweeper that asked for the run
    """A run has no result."""


@hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
def _task(config: DictConfig) -> float:
    try:
        with storage_errors(default_root(config.root)):
            return run_one(config)
    except INPUT_ERRORS as error:
        if _other_sweeper():  # to which it is a failed job
            raise
        _exit_with(error)  # Hydra would print a line of its own before it


def main() -> None:
    """The entry point. Bad input ends with one line on stderr and exit code 2; HYDRA_FULL_ERROR=1 shows the trace.

    A run that fails under another sweeper than the suite's ends with one line and exit code 1.

    `--json` means `sweep.json=true`, as Hydra would refuse an option that it does not know.
    """
    if "--json" in sys.argv:
        sys.argv = [*(each for each in sys.argv if each != "--json"), "sweep.json=true"]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing a trace of its own
    try:
        given = _options()
        check_words(given.overrides, Path(given.config_dir) if given.config_dir else None)
        _task()
    except INPUT_ERRORS as error:
        _exit_with(error)
    except RunFailed as failed:
        _say(str(failed))
        sys.exit(1)


def _options() -> argparse.Namespace:
    """Hydra's options and the overrides. Raises UserError for what Hydra would end with its usage in ten lines."""

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')}; see --help")

    parser = get_args_parser()
    setattr(parser, "error", refuse)  # noqa: B010 — Hydra makes the parser itself
    given, unknown = parser.parse_known_args()
    if unknown and not unknown[0].startswith("-"):
        raise UserError(
            f"{unknown[0]}: comes after an option that comes after overrides; type options such as -m first"
        )
    if unknown:
        known = [option for each in parser._actions for option in each.option_strings if option.startswith("--")]
        raise UserError(f"{unknown[0]}: no such option; {did_you_mean(unknown[0], [*known, '--json'])}see --help")
    for name, value in (("--config-path", given.config_path), ("--config-name", given.config_name)):
        if value is not None:
            raise UserError(f"{name}: the suite's configuration has no other place and name; --config-dir adds to it")
    return given


def _exit_with(error: Exception) -> NoReturn:
    if SHOW_TRACES:
        raise error
    _say(format_error(error))
    sys.exit(2)


def _typed(command: DictConfig | HydraConf) -> list[str]:
    """How a command begins that finds the same configuration from any folder. `command`: Hydra's own configuration."""
    own = [each.path for each in command.runtime.config_sources if each.provider == "command-line"]
    return [*entry.typed("run").split(), *(word for path in own for word in ("--config-dir", str(path)))]


def _other_sweeper() -> str | None:
    """The sweeper whose job this is, as `hydra/sweeper=` names it; None for the suite's own, and without -m."""
    command = HydraConfig.get()
    name = str(command.runtime.choices["hydra/sweeper"])
    return None if command.mode is RunMode.RUN or name == OWN_SWEEPER else name


def run_one(config: DictConfig) -> float:
    """Train one model in this process, unless the run has its result already; also what a Hydra launcher's job does.

    Exits as the job does if it fails. A job of another sweeper than the suite's (Hydra's basic one, Optuna's) is a
    single run, too. If it fails, RunFailed is raised, and the sweeper goes on as it likes. Returns the accuracy on the
    split that chooses the epoch, for such a sweeper to judge by: to tune on test images would spoil them.
    """
    from terminator.job import execute

    command, other = HydraConfig.get(), _other_sweeper()
    settings = typed(config)
    choices = command.runtime.choices
    remedy = f"leave out hydra/sweeper={other}" if other else "add -m"
    if ablation := choices.get("ablation"):
        raise UserError(f"ablation={ablation}: an ablation is a sweep; {remedy}")
    if cluster := choices.get("cluster"):
        raise UserError(f"cluster={cluster}: a single run is trained here; {remedy} to submit it")
    if settings.sweep.plan:
        raise UserError(f"sweep.plan=true: a single run has no plan; {remedy}")
    if settings.sweep.notify:
        raise UserError(f"sweep.notify: a single run sends no message; {remedy}")  # the value may hold a token
    origin, ledger = provenance(), Ledger(settings.root_folder())
    run = ledger.run(run_key(settings.run_config()))
    tracked: list[Sweep] = []
    if command.mode is RunMode.RUN or other:  # else the run belongs to a sweep, which is frozen and tracked already
        composer = Composer(GlobalHydra.instance().config_loader(), DictConfig(HydraConfig.instance().cfg))
        overrides = list(command.overrides.task)
        plan = Planner(composer, origin, [*_typed(command), *overrides], settings).single(
            settings.run_config(), overrides
        )
        for line in cautions(plan, ledger):
            _say(line)
        plan.freeze(ledger, origin)
        tracked = [plan.sweep] if plan.sweep.tracked else []
    if (before := run.result()) is None:
        follower = LiveSync(ledger, tracked) if tracked else None
        code = execute(run, watched=True)
        if follower:
            print(follower.close())
        if other and code in (EXIT_CODES[RunState.failed], EXIT_DIVERGED):
            raise RunFailed(f"run {run.key}: {run.state().message}")
        if code:
            sys.exit(code)
    result = run.result()
    assert result is not None
    accuracy = float(result.metrics["test_accuracy"])
    best = f"epoch {result.metrics['best_epoch']} of {result.metrics['epochs']}"
    when = f"{done_already(before.finished)}: " if before else ""
    print(f"{when}test accuracy {accuracy:.2%} ({best}) in {run.folder}")
    return float(result.metrics["validation_accuracy"])


def run_sweep(context: HydraContext, task: TaskFunction, master: DictConfig, arguments: Sequence[str]) -> None:
    """What `-m` does; Hydra's sweeper calls it. Exits with 1 if a run has no result at the end, 130 after Ctrl-C."""
    line = read_command_line(context.config_loader, arguments)
    composer = Composer(context.config_loader, master)
    # An override of the ablation's keys fits only where an ablation was chosen.
    chosen = [f"ablation={name}" for name in line.ablations[:1]]
    settings = composer.settings([*line.base, *next(line.contexts()), *chosen])
    origin = provenance()
    plans = Planner(composer, origin, [*_typed(master.hydra), "-m", *arguments], settings).plans(line)
    ledger = Ledger(settings.root_folder())
    launch = _launch(context, task, master)
    if launch is None and not settings.sweep.plan and (unheard := _callbacks_of_jobs(master)):
        _say(
            f"hydra.callbacks: on_job_start and on_job_end of {', '.join(unheard)} are not called: each run is a "
            "process of its own; hydra/launcher=submitit_local or hydra/sweeper=basic calls them"
        )
    with storage_errors(ledger.root):
        _run_plans(ledger, plans, origin, settings, launch)


def _run_plans(
    ledger: Ledger, plans: Sequence[Plan], origin: Provenance, settings: Settings, launch: Launch | None
) -> None:
    """Show the plans, or freeze them, carry them out and report."""
    if settings.sweep.plan:
        power = partial(_power, ledger)
        if settings.sweep.json:
            print(json.dumps(plan_document(plans, ledger, power, settings.cluster), indent=1, ensure_ascii=False))
            return
        for plan in plans:
            show_plan(Console(markup=False, emoji=False), plan, ledger, power, settings.cluster)
        return
    from terminator.looks import Board, Outcome, carry_out, last_tables  # pandas and scipy take their time to import

    for plan in plans:
        for ablation in plan.sweep.ablations:
            for note in notes(plan, ablation):
                _say(f"ablation={ablation.name}: {note}")
        for line in cautions(plan, ledger):
            _say(line)
    scheduler_for(settings, ledger, [plan.sweep for plan in plans], launch).check()
    if settings.cluster is None and launch is None:
        for config in (each for plan in plans for each in plan.configs.values()):
            check_device(config.machine, cuda_graphs=config.training.cuda_graphs)
    sweeps = [plan.freeze(ledger, origin) for plan in plans]
    for ablation in (each for sweep in sweeps for each in sweep.ablations):
        for line in frozen_before(ledger, ablation):
            _say(f"ablation={ablation.name}: {line}")
    runs = ledger.runs_of(sweeps)
    finished = [result.finished for run in runs if (result := run.result())]
    when = f" (the last {moment(max(finished))})" if finished else ""
    counts = f"{len(finished)} done already{when}, {len(runs) - len(finished)} to run"
    _say(f"{counted(len(runs), 'run')}: {counts} in {ledger.root}")
    hint, here = "interrupted; the same command continues where it stopped", True

    def scheduler(current: Sequence[Sweep]) -> Scheduler:
        return scheduler_for(settings, ledger, current, launch, Board(ledger, current))

    try:
        with entry.interruptible():
            outcome = carry_out(ledger, sweeps, scheduler, _say)
            if not outcome.ended:
                if not settings.sweep.wait:
                    return
                hint, here = "the jobs go on without this command", False
                for sweep in outcome.sweeps:
                    watch(Console(markup=False, emoji=False), ledger, sweep, scheduler_of(ledger, sweep))
                sweeps = [ledger.sweep(sweep.id) for sweep in sweeps]
                outcome = Outcome(sweeps, ledger.runs_of(sweeps))
    except KeyboardInterrupt:
        _say(hint)
        for table in last_tables(ledger, sweeps):
            _say(f"the table of the last look: {table}")
        if here:
            _tell(ledger, sweeps, interrupted=True)
        sys.exit(entry.INTERRUPTED)
    _report(ledger, sweeps, outcome.missing, here)


def _launch(context: HydraContext, task: TaskFunction, master: DictConfig) -> Launch | None:
    """The launcher that `hydra/launcher=` names; None for Hydra's default."""
    if master.hydra.runtime.choices["hydra/launcher"] == DEFAULT_LAUNCHER:
        return None
    launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=master)
    return lambda jobs: launcher.launch(jobs, initial_job_idx=0)


def _callbacks_of_jobs(master: DictConfig) -> list[str]:
    """Those of `hydra.callbacks` that want to know of jobs, by their names."""
    classes = {name: get_class(each["_target_"]) for name, each in master.hydra.callbacks.items()}
    hooks = ("on_job_start", "on_job_end")
    return [
        str(name)
        for name, kind in classes.items()
        if any(getattr(kind, hook, None) is not getattr(Callback, hook) for hook in hooks)
    ]


def _report(ledger: Ledger, sweeps: Sequence[Sweep], needed: Sequence[Run], here: bool) -> None:
    """Print and write the tables and figures, bring them to MLflow; exit with 1 if a needed run has no result.

    `here`: whether this process ends the sweep, and no job of a cluster does.
    """
    from terminator.analysis.report import write_report

    for sweep in sweeps:
        write_report(ledger.root, sweep=sweep.id)
    tracked = sync(ledger, [sweep for sweep in sweeps if sweep.tracked])
    if tracked.problem:
        _say(f"mlflow: {tracked}")
    if here:
        _tell(ledger, sweeps)
    missing = sum(run.result() is None for run in needed)
    if missing:
        has, it = ("has", "it") if missing == 1 else ("have", "them")
        _say(f"{counted(missing, 'run')} {has} no result; the same command runs {it} again")
        sys.exit(1)


def _tell(ledger: Ledger, sweeps: Sequence[Sweep], *, interrupted: bool = False) -> None:
    from terminator.analysis.message import tell

    for sweep in sweeps:
        if problem := tell(ledger, ledger.sweep(sweep.id), interrupted=interrupted):  # with the runs it has now
            _say(problem)


def _power(ledger: Ledger, plan: Plan, ablation: Ablation) -> list[str]:
    from terminator.analysis.power import power_notes

    config = plan.config(ablation.variants[0])
    return power_notes(ledger.root, ablation, to_plain(config), config.data.known_test_images)


def _say(line: str) -> None:
    print(f"terminator: {line}", file=sys.stderr)
