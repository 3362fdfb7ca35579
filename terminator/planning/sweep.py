"""What `-m` does: plan, then run here, on a cluster, or through another of Hydra's launchers; then the table."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from rich.console import Console

from terminator.cluster.launcher import profile_from_launcher
from terminator.cluster.profile import ClusterProfile
from terminator.ledger import Ledger, Provenance, RunState, Sweep, provenance
from terminator.planning.ablation import to_words
from terminator.planning.compose import CommandLine, Composer, read_command_line
from terminator.planning.plan import Plan, plan, plan_choices
from terminator.planning.show import notes, show_plan
from terminator.settings import Settings
from terminator.sweeps.local import default_workers, run_here
from terminator.text import counted

BASIC = "basic"  # Hydra's default launcher; in its place each run gets a process of its own
SLURM = "slurm"  # the keys of Hydra's Submitit launcher; in its place runs are submitted as with cluster=


def run_sweep(hydra_context: HydraContext, task: TaskFunction, master: DictConfig, arguments: Sequence[str]) -> None:
    """Carry the command out. Exits with 1 if a run has no result at the end, 130 after an interruption."""
    line = read_command_line(hydra_context.config_loader, arguments)
    composer = Composer(hydra_context.config_loader, master)
    first = [f"ablation={name}" for name in line.ablations[:1]]  # what the words change must be there
    settings = composer.settings([*line.base, *first])
    plans = _plans(composer, line)
    origin = provenance()
    command = ["python", "-m", "terminator.run", "-m", *arguments]
    sweeps = [each.sweep(origin, command, settings.tracking) for each in plans]
    ledger = Ledger(settings.root_folder())
    launcher = str(master.hydra.runtime.choices["hydra/launcher"])
    if settings.sweep.plan:
        for each, sweep in zip(plans, sweeps, strict=True):
            show_plan(Console(), each, sweep, ledger)
        return
    for planned in (ablation for each in plans for ablation in each.ablations):
        for note in notes(planned):
            print(f"terminator: ablation={planned.name}: {note}", file=sys.stderr)
    if (profile := _cluster_profile(settings, master, launcher)) is not None:
        _run_on_cluster(settings, ledger, plans, sweeps, origin, profile)
    elif launcher == BASIC:
        _run_here(settings, ledger, plans, sweeps, origin)
    else:
        _freeze(ledger, plans, sweeps, origin)
        _launch(hydra_context, task, master, plans)
        report(ledger, sweeps)


def report(ledger: Ledger, sweeps: Sequence[Sweep]) -> None:
    """Print and write the tables and figures; exit with 1 if a run has no result."""
    from terminator.analysis.report import write_report

    for sweep in sweeps:
        write_report(ledger.root, sweep=sweep.id)
    keys = itertools.chain.from_iterable(sweep.keys() for sweep in sweeps)
    missing = [key for key in dict.fromkeys(keys) if ledger.run(key).state().state is not RunState.done]
    if missing:
        has, them = ("has", "it") if len(missing) == 1 else ("have", "them")
        what = f"{counted(len(missing), 'run')} {has} no result; the same command runs {them} again"
        print(f"terminator: {what}", file=sys.stderr)
        sys.exit(1)


def _plans(composer: Composer, line: CommandLine) -> list[Plan]:
    if not line.ablations:
        return [plan_choices(composer, list(line.contexts()), line.base, line.seeds)]
    return [plan(composer, line.ablations, [*line.base, *words], line.seeds) for words in line.contexts()]


def _run_here(
    settings: Settings, ledger: Ledger, plans: Sequence[Plan], sweeps: Sequence[Sweep], origin: Provenance
) -> None:
    workers = settings.sweep.workers or default_workers(settings.machine.device)
    _freeze(ledger, plans, sweeps, origin)
    if run_here(Console(stderr=True), ledger, sweeps, workers, settings.tracking):
        print("terminator: interrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(130)
    report(ledger, sweeps)


def _cluster_profile(settings: Settings, master: DictConfig, launcher: str) -> ClusterProfile | None:
    """What `cluster=` or `hydra/launcher=slurm` asks for; None for a sweep that SLURM has nothing to do with."""
    if launcher == SLURM:
        return profile_from_launcher(master.hydra.launcher)
    return settings.cluster if isinstance(settings.cluster, ClusterProfile) else None


def _run_on_cluster(
    settings: Settings,
    ledger: Ledger,
    plans: Sequence[Plan],
    sweeps: Sequence[Sweep],
    origin: Provenance,
    profile: ClusterProfile,
) -> None:
    from terminator.cluster.submit import check_sweep
    from terminator.cluster.sweep import stay, submit_sweeps

    for sweep in sweeps:
        check_sweep(sweep, profile)
    _freeze(ledger, plans, sweeps, origin)
    submit_sweeps(Console(), ledger, sweeps, profile)
    if settings.sweep.wait:
        if not stay(Console(), ledger, sweeps, settings.tracking):
            sys.exit(130)
        report(ledger, sweeps)


def _freeze(ledger: Ledger, plans: Sequence[Plan], sweeps: Sequence[Sweep], origin: Provenance) -> None:
    for each, sweep in zip(plans, sweeps, strict=True):
        each.freeze(ledger, sweep, origin)


def _launch(hydra_context: HydraContext, task: TaskFunction, master: DictConfig, plans: Sequence[Plan]) -> None:
    """Hand every run to the Hydra launcher that was chosen, as override words."""
    from hydra.core.plugins import Plugins

    launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task, config=master)
    jobs = [
        [*each.base, *to_words(variant.variant.overrides), f"seed={seed}"]
        for each in plans
        for ablation in each.ablations
        for variant in ablation.variants
        for seed in ablation.settings.seeds
    ]
    launcher.launch(list(map(list, dict.fromkeys(map(tuple, jobs)))), initial_job_idx=0)
