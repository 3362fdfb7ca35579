"""What the runs of a plan that are not done take: time, GPU-hours, jobs, and whether the time limit is long enough."""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass

from terminator.cluster.profile import ClusterProfile, profiles_of
from terminator.config import Device
from terminator.ledger import Ledger, Variant
from terminator.planning.duration import Durations, durations, has_gpu
from terminator.planning.plan import Plan
from terminator.text import counted, span

ALIKE = 1.1  # times longer is no range


@dataclass(frozen=True)
class Jobs:
    """Those of one profile. `slowest`: seconds of the longest run in them, None where nobody can tell."""

    count: int
    partition: str | None
    timeout_min: int
    slowest: float | None


@dataclass(frozen=True)
class Need:
    """`seconds`: of a run, by variant, None where nobody can tell; `hours`: of all runs, one after the other.

    `at_most_hours`: if all looks are made; None where none are planned. `gpu_hours`: None where no GPU is used.
    `source`: where the seconds come from. `warnings`: sentences on time limits that are too short.
    """

    seconds: dict[str, float | None]
    source: str
    hours: float
    at_most_hours: float | None
    gpu_hours: float | None
    jobs: list[Jobs]
    warnings: list[str]

    def lines(self) -> list[str]:
        """Sentences; none where nothing is to run."""
        if not self.seconds:
            return []
        known = {name: seconds for name, seconds in self.seconds.items() if seconds is not None}
        if not known:
            return [f"Time: not known: {self.source}.", *self._jobs()]
        slowest, fastest = max(known, key=lambda name: known[name]), min(known.values())
        alike = known[slowest] <= ALIKE * fastest or span(known[slowest]) == span(fastest)
        each = span(known[slowest]) if alike else f"{span(fastest)} to {span(known[slowest])} ({slowest})"
        gpu = "" if self.gpu_hours is None else f", {self.gpu_hours:,.2g} GPU-hours"
        looks = "" if self.at_most_hours is None else f", at most {span(3600 * self.at_most_hours)} to the last look"
        unknown = len(self.seconds) - len(known)
        without = f", without {counted(unknown, 'variant')} of unknown time" if unknown else ""
        total = f"{span(3600 * self.hours)} of runs in all{gpu}{looks}{without}"
        return [f"Time: {each} a run, from {self.source}; {total}.", *self._jobs(), *self.warnings]

    def _jobs(self) -> list[str]:
        listed = []
        for jobs in self.jobs:
            where = f"partition {jobs.partition}" if jobs.partition else "the default partition"
            listed.append(f"{counted(jobs.count, 'job')} on {where}, each of at most {span(60 * jobs.timeout_min)}")
        return [f"{'; '.join(listed)}."] if listed else []


def need(plan: Plan, ledger: Ledger, done: Container[str], profile: ClusterProfile | None) -> Need:
    """Of the plan's runs that are not `done`, on the cluster of `profile`, or here."""
    owners: dict[str, Variant] = {}
    for cell in plan.sweep.cells():
        if cell.key not in done:
            owners.setdefault(cell.key, cell.variant)
    variants = {variant.name: variant for variant in owners.values()}
    # Further looks, and a tuned table: its variants have runs when their settings are chosen.
    goes_on = [each for each in plan.sweep.ablations if each.looks is not None or not each.is_chosen] if owners else []
    later = [(ablation, variant) for ablation in goes_on for variant in ablation.variants if len(ablation.variants) > 1]
    known = {
        cell.variant.name: cell.variant for cell in plan.sweep.cells()
    }  # a tuned row takes as long as its untuned one
    variants |= {variant.name: known[variant.name] for _, variant in later if variant.name in known}
    found = durations(plan, list(variants.values()), ledger, profile)
    hours = {key: (found.seconds[variant.name] or 0.0) / 3600 for key, variant in owners.items()}
    further = [
        (ablation.most_seeds - len(variant.runs)) * (found.seconds.get(variant.name) or 0.0) / 3600
        for ablation, variant in later
    ]
    profiles = {} if profile is None else profiles_of(plan.sweep, profile)
    gpus = {key: _gpus(plan, key, profiles.get(key)) for key in owners}
    groups: list[tuple[ClusterProfile, list[str]]] = []
    for key in owners if profiles else ():
        alike = next((keys for each, keys in groups if each == profiles[key]), None)
        if alike is None:
            groups.append((profiles[key], alike := []))
        alike.append(key)
    jobs = [_jobs(each, [found.seconds[owners[key].name] for key in keys]) for each, keys in groups]
    return Need(
        seconds={name: found.seconds[name] for name in variants},
        source=found.source,
        hours=sum(hours.values()),
        at_most_hours=sum(hours.values()) + sum(further) if further else None,
        gpu_hours=sum(hours[key] * gpus[key] for key in owners) if any(gpus.values()) else None,
        jobs=jobs,
        warnings=[line for of, (each, keys) in zip(jobs, groups, strict=True) if (line := _too_short(of, each, found))],
    )


def _gpus(plan: Plan, key: str, profile: ClusterProfile | None) -> float:
    """That a run has to itself."""
    if profile is not None:
        return profile.nodes * profile.gpus_per_node / profile.runs_per_gpu
    return float(has_gpu() and plan.configs[key].machine.device is not Device.cpu)


def _jobs(profile: ClusterProfile, seconds: list[float | None]) -> Jobs:
    known = [each for each in seconds if each is not None]
    count = math.ceil(len(seconds) / profile.runs_per_gpu)
    return Jobs(count, profile.partition, profile.timeout_min, max(known, default=None))


def _too_short(jobs: Jobs, profile: ClusterProfile, found: Durations) -> str:
    """A sentence on a limit that cuts runs off; empty where there is none to write."""
    limit = 60 * profile.timeout_min - profile.signal_delay()  # then it saves a checkpoint
    if jobs.slowest is None or jobs.slowest <= limit:
        return ""
    times = math.ceil(jobs.slowest / limit) - 1
    wanted = math.ceil((1.2 * jobs.slowest + profile.signal_delay()) / 60)
    name = f"cluster.timeout_min={profile.timeout_min}"
    if not found.on_device:
        return f"Whether {name} is long enough cannot be told from this machine's CPU: the jobs have a GPU."
    so = f"a run of {span(jobs.slowest)} goes back to the queue {counted(times, 'time')}"
    if times > profile.max_timeouts:
        so = f"a run of {span(jobs.slowest)} fails after cluster.max_timeouts={profile.max_timeouts}"
    return f"{name} is too short: {so}; cluster.timeout_min={wanted} leaves a fifth to spare."
