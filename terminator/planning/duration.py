"""How long a plan's runs take: as finished runs like them took, else by a few training steps timed here."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from terminator.cluster.journal import journals
from terminator.cluster.profile import ClusterProfile
from terminator.config import Device, Protocol, RunConfig, to_plain
from terminator.data.load import load
from terminator.data.splits import Data, Split
from terminator.ledger import Ledger, Run, Variant
from terminator.ledger.provenance import hostname
from terminator.model.build import build
from terminator.planning.cost import cost
from terminator.planning.plan import Plan
from terminator.text import counted
from terminator.training.distributed import Distributed
from terminator.training.step import TrainingStep

MOST_READ = 300  # finished runs
SECONDS_OF_TIMING = 0.7  # after so many no further network is timed
SECONDS_OF_STEPS = 0.15  # of one network
FEWEST_STEPS = 2
LARGEST_STEP = 5e9  # FLOP: of a larger step a smaller batch is timed
TOO_LARGE = 50e9  # FLOP of a step of two images: a login node is not for this
STEPS_PER_EPOCH = 10_000  # of the schedule that the timed steps are the first of
TRAINING, FEWEST_IMAGES = 3, 2  # a step's FLOPs, in forward passes; a batch has statistics of its own


class Pace(NamedTuple):
    """Of one network: forward FLOPs of an image, seconds of an epoch, and of a run's start and evaluation."""

    flops: float
    epoch: float
    rest: float

    def of(self, epochs: int) -> float:
        """Seconds of a run."""
        return self.epoch * epochs + self.rest


@dataclass(frozen=True)
class Durations:
    """Seconds of a run by variant, None where nobody can tell. `source`: where they come from, as part of a sentence.

    `on_device`: whether they are those of the device that the plan's runs would have.
    """

    seconds: Mapping[str, float | None]
    source: str
    on_device: bool


def durations(plan: Plan, variants: Sequence[Variant], ledger: Ledger, profile: ClusterProfile | None) -> Durations:
    """Of these variants, on the cluster of `profile`, or here.

    A variant takes as long as finished runs of its network did on that data; else as its FLOPs suggest, among other
    networks of its architecture; and where the ledger has none of these, the smallest and the largest are timed here.
    """
    kinds = {variant.name: Kind.of(to_plain(plan.config(variant)), profile) for variant in variants}
    contexts = {kind.context for kind in kinds.values()}
    finished: defaultdict[Kind, list[Pace]] = defaultdict(list)
    submitted = _keys_on(ledger, profile)
    for run in itertools.islice(_candidates(plan, ledger), MOST_READ):
        found = _pace(run, submitted, profile)
        if found is not None and found[0].context in contexts:
            finished[found[0]].append(found[1])
    points: defaultdict[str, list[Pace]] = defaultdict(list)
    for kind, paces in finished.items():
        points[kind.context] += paces
    runs = sum(map(len, points.values()))
    flops = {variant.name: cost(plan.config(variant)).flops for variant in variants}
    timed = 0
    deadline = time.perf_counter() + SECONDS_OF_TIMING
    alike = Counter(kind.context for kind in kinds.values())
    for context in [context for context, _ in alike.most_common() if context not in points]:  # the most frequent first
        of_it = [variant for variant in variants if kinds[variant.name].context == context]
        by_size = {flops[variant.name]: variant for variant in reversed(of_it)}  # of equals, the first
        for size in sorted({min(by_size), max(by_size)}):
            variant = by_size[size]
            if time.perf_counter() < deadline and (pace := time_steps(plan.config(variant), profile)) is not None:
                points[context].append(pace)
                timed += 1
    curves = {kind: Curve(paces) for kind, paces in finished.items()}
    wider = {context: Curve(paces) for context, paces in points.items()}
    any_other = Curve(list(itertools.chain.from_iterable(points.values()))) if points else None
    seconds = {}
    for variant in variants:
        kind, epochs = kinds[variant.name], plan.config(variant).training.epochs
        curve = curves.get(kind) or wider.get(kind.context) or any_other
        seconds[variant.name] = curve.at(flops[variant.name]).of(epochs) if curve else None
    device = "GPU" if has_gpu() else "CPU"
    steps = f"a few steps of {counted(timed, 'network')} timed on this machine's {device}, without start-up"
    sources = [*([counted(runs, "finished run")] if runs else []), *([steps] if timed else [])]
    wants_gpu = profile is not None and profile.gpus_per_node > 0
    none = "no run like these has finished, and a step of their networks is too large to time here"
    return Durations(seconds, " and ".join(sources) or none, not timed or not wants_gpu or has_gpu())


class Kind(NamedTuple):
    """What a run's pace depends on: `context`, and the network's settings within it. As JSON."""

    context: str
    model: str

    @staticmethod
    def of(plain: Mapping[str, Any], profile: ClusterProfile | None) -> Kind:
        """Of a run's plain configuration. Raises KeyError for an older ledger's that lacks a setting."""
        model, objective, training = plain["model"], plain["objective"], plain["training"]
        context = {
            "data": {key: value for key, value in plain["data"].items() if key not in ("folder", "repository")},
            "network": [model["architecture"], model.get("target")],
            "step": [
                *(training[key] for key in ("batch_size", "precision", "compile")),
                training.get("cuda_graphs", False),
                training.get("gradient_accumulation_steps", 1),
            ],
            "objective": [objective["slow_loss"], objective["penalty"] > 0],
            "optimizer": plain["optimizer"]["name"],
            "threads": plain["machine"]["threads"],
            "gpu": plain["machine"]["device"] != Device.cpu.value and (profile is not None or has_gpu()),
        }
        return Kind(json.dumps(context, sort_keys=True), json.dumps(model, sort_keys=True))


def has_gpu() -> bool:
    """Whether PyTorch sees one here."""
    return torch.cuda.is_available()


def _candidates(plan: Plan, ledger: Ledger) -> Iterator[Run]:
    """Finished runs on the plan's data: its own, then those of other sweeps; of each variant one, then another."""
    keys: list[str] = []
    others = (sweep for sweep in ledger.sweeps() if set(sweep.data) & set(plan.sweep.data))
    for sweep in (plan.sweep, *others):
        runs = [list(variant.runs.values()) for ablation in sweep.ablations for variant in ablation.variants]
        keys += [key for of_seed in itertools.zip_longest(*runs) for key in of_seed if key is not None]
    return (run for run in map(ledger.run, dict.fromkeys(keys)) if (run.folder / "result.json").exists())


def _keys_on(ledger: Ledger, profile: ClusterProfile | None) -> set[str] | None:
    """The runs that were submitted with such nodes; None for a plan that runs here."""
    if profile is None:
        return None
    arrays = (array for journal in journals(ledger.root) for array in journal.arrays())
    node = attrgetter(
        "partition", "constraint", "nodes", "tasks_per_node", "gpus_per_node", "cpus_per_task", "runs_per_gpu"
    )
    return {key for array in arrays if node(array.profile) == node(profile) for job in array.jobs for key in job}


def _pace(run: Run, submitted: set[str] | None, profile: ClusterProfile | None) -> tuple[Kind, Pace] | None:
    """How a finished run went; None for one on another machine, and for one of an older ledger that does not tell."""
    result, attempts = run.result(), run.attempts()
    if result is None or not attempts:
        return None
    last = attempts[-1]
    here = (
        last.job is None and last.host == hostname()
        if submitted is None
        else last.job is not None and run.key in submitted
    )
    if not here:
        return None
    try:
        kind = Kind.of(run.spec().config, profile)
        metrics = result.metrics
        train, epochs, flops = (float(metrics[name]) for name in ("train_seconds", "epochs", "flops"))
    except (KeyError, TypeError):
        return None
    whole = last.end.ended - last.started if len(attempts) == 1 and last.end and last.started else train
    return kind, Pace(flops, train / epochs, max(0.0, whole - train))


class Curve:
    """The pace of networks by their FLOPs: on the line between neighbours, and in proportion to the largest."""

    def __init__(self, points: Sequence[Pace]) -> None:
        self._flops = sorted({point.flops for point in points})
        alike = [[point.epoch for point in points if point.flops == each] for each in self._flops]
        self._epochs = [median(epochs) for epochs in alike]
        self._rest = median(point.rest for point in points)

    def at(self, flops: float) -> Pace:
        """Of a network of so many."""
        beyond = max(1.0, flops / max(self._flops[-1], 1))
        return Pace(flops, beyond * float(np.interp(flops, self._flops, self._epochs)), self._rest)


def time_steps(config: RunConfig, profile: ClusterProfile | None = None) -> Pace | None:
    """Train a few steps on noise; None of a network too large for that. Leaves PyTorch's settings as they were.

    Of a large network a smaller batch is timed. An epoch's validation counts as forward passes, a third of a step.
    """
    flops, size = cost(config).flops, config.training.batch_size
    if TRAINING * flops * FEWEST_IMAGES > TOO_LARGE:
        return None
    fitting = LARGEST_STEP / max(TRAINING * flops, 1)
    images = int(min(size / config.training.gradient_accumulation_steps, max(FEWEST_IMAGES, fitting)))
    device = torch.device("cuda" if has_gpu() and config.machine.device is not Device.cpu else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(config.machine.threads)
    try:
        with torch.random.fork_rng():
            step = _seconds_of_step(config, images, device) * size / images
    except (RuntimeError, MemoryError):  # its own fault, or too little memory on a login node
        return None
    finally:
        torch.set_num_threads(threads)
    tasks = profile.nodes * profile.tasks_per_node if profile else 1
    train, validation = _images(config)
    return Pace(flops, (train // size * step + validation / size * step / TRAINING) / tasks, 0.0)


def _seconds_of_step(config: RunConfig, images: int, device: torch.device) -> float:
    """On a batch of so many images; the first step is left out."""
    alone = replace(config.training, batch_size=images, gradient_accumulation_steps=1, compile=False, cuda_graphs=False)
    plain = replace(config, training=alone)
    shape, classes = config.data.input_shape, config.data.classes
    network = build(config.model, image_shape=shape, classes=classes).to(device).train()
    noise = Split(torch.randint(256, (images, *shape), dtype=torch.uint8), torch.randint(classes, (images,))).to(device)
    constant = torch.full((shape[0], *(1 for _ in shape[1:])), 128.0, device=device)
    step = TrainingStep(plain, network, Data(noise, noise, noise, constant, constant), STEPS_PER_EPOCH, Distributed())
    step(iter([noise]), 0)
    seconds: list[float] = []
    while len(seconds) < FEWEST_STEPS or sum(seconds) < SECONDS_OF_STEPS:
        began = time.perf_counter()
        step(iter([noise]), len(seconds)).sum().item()  # which waits for a GPU
        seconds.append(time.perf_counter() - began)
    return min(seconds)  # others may use the machine


def _images(config: RunConfig) -> tuple[int, int]:
    """To train on, and to validate on after each epoch."""
    hold_out = config.training.protocol is Protocol.holdout
    if config.data.format != "hub":
        data = load(config.data, hold_out=hold_out)
        return len(data.train), len(data.validation)
    from terminator.data import hub

    total = hub.count(config.data, "train")
    held_out = round(total * config.data.validation_fraction)
    return (total - held_out, held_out) if hold_out else (total, hub.count(config.data, "test"))
