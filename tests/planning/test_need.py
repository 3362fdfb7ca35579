"""What a plan says of time: from finished runs, or from steps timed here; on a cluster, its jobs and time limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from terminator.cluster.journal import Array
from terminator.cluster.profile import ClusterProfile
from terminator.config import Protocol, RunConfig, TrainingConfig, to_plain
from terminator.data.load import load
from terminator.ledger import Job, Ledger, Variant, provenance
from terminator.planning import duration
from terminator.planning.cost import cost
from terminator.planning.duration import LARGEST_STEP, Pace, time_steps
from terminator.planning.need import Need, need
from terminator.planning.plan import Plan, Planner
from terminator.text import span
from tests.data.test_hub import LAYOUTS, write_set
from tests.data.test_hub import config as published

DEPTHS = ["model.channels=[12]", "model.depth=1", "ablation.one_at_a_time={model.depth:[2,3]}"]
CPU, GPU = ClusterProfile(partition="cpu", timeout_min=60), ClusterProfile(partition="gpu", gpus_per_node=2, nodes=2)


def finish(
    plan: Plan, ledger: Ledger, seconds: Mapping[str, float], job: Job | None = None, **metrics: float
) -> set[str]:
    """Finish the first seed's run of these variants, its training in so many seconds. Returns the keys."""
    ledger.write_sweep(plan.sweep)
    found = {variant.name: variant for variant in plan.sweep.ablations[0].variants}
    keys = {next(iter(found[name].runs.values())): (found[name], taken) for name, taken in seconds.items()}
    for key, (variant, taken) in keys.items():
        config = plan.config(variant)
        done = {"train_seconds": taken, "epochs": config.training.epochs, "flops": cost(config).flops, **metrics}
        ledger.freeze(key, to_plain(config), provenance()).begin(job).finish(done)
    return set(keys)


@pytest.fixture
def depths(planner: Planner) -> Plan:
    """Three networks, at two seeds each."""
    return planner.ablations(["depth"], DEPTHS, [0, 1])


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network can be timed."""
    monkeypatch.setattr(duration, "time_steps", lambda config, profile: None)


def flops(plan: Plan) -> dict[str, int]:
    return {variant.name: cost(plan.config(variant)).flops for variant in plan.sweep.ablations[0].variants}


@pytest.mark.usefixtures("untimed")
def test_seconds_are_those_of_finished_runs_and_of_the_flops_between_and_beyond(depths: Plan, ledger: Ledger) -> None:
    one, two, three = (flops(depths)[name] for name in ("full", "depth=2", "depth=3"))
    done = finish(depths, ledger, {"full": 100.0, "depth=3": 300.0})
    found = need(depths, ledger, done, None)
    between = 100 + 200 * (two - one) / (three - one)
    assert found.seconds == pytest.approx({"full": 100, "depth=2": between, "depth=3": 300}, abs=0.1)
    assert found.hours == pytest.approx((400 + 2 * between) / 3600, abs=0.001)
    assert (found.source, found.gpu_hours, found.jobs, found.warnings) == ("2 finished runs", None, [], [])
    assert found.lines()[0].startswith("Time: 1.7 min to 5 min (depth=3) a run, from 2 finished runs; ")

    alone = need(
        depths, Ledger(ledger.root / "other"), finish(depths, Ledger(ledger.root / "other"), {"full": 100}), None
    )
    assert alone.seconds["depth=3"] == pytest.approx(100 * three / one, rel=0.01)


@pytest.mark.usefixtures("untimed")
def test_a_run_of_other_epochs_counts_and_one_of_another_batch_size_does_not(planner: Planner, ledger: Ledger) -> None:
    def seconds(*settings: str) -> Need:
        return need(planner.ablations(["depth"], [*DEPTHS, *settings], [0, 1]), ledger, (), None)

    finish(planner.ablations(["depth"], [*DEPTHS, "training.epochs=2"], [0]), ledger, {"full": 10.0})
    assert seconds("training.epochs=40", "objective.label_smoothing=0.2").seconds["full"] == pytest.approx(200, abs=0.5)
    assert set(seconds("training.batch_size=32").seconds.values()) == {None}
    [line] = seconds("model.gate=glu", "training.batch_size=32").lines()
    assert line.startswith("Time: not known: no run like these has finished, and a step of their networks is too large")


def test_cuda_graphs_have_a_pace_of_their_own_and_are_not_timed(depths: Plan) -> None:
    config = depths.config(depths.sweep.ablations[0].variants[0])
    graphs = replace(config, training=replace(config.training, compile=True, cuda_graphs=True))
    older = to_plain(config)
    del older["training"]["cuda_graphs"]
    assert duration.Kind.of(older, None) == duration.Kind.of(to_plain(config), None)
    assert duration.Kind.of(to_plain(graphs), None) != duration.Kind.of(to_plain(config), None)
    assert time_steps(graphs) is not None


@pytest.mark.usefixtures("untimed")
def test_runs_of_other_machines_do_not_count(depths: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = finish(depths, ledger, {"full": 100.0}, job=Job("slurm", "7_0", "n1"))
    folder = ledger.sweep_folder(depths.sweep) / "slurm" / "1.a"
    Array(folder, "p", 1.0, "c", CPU, (tuple(keys),), "7").write()
    assert need(depths, ledger, keys, None).seconds["full"] is None
    assert need(depths, ledger, keys, replace(CPU, partition="other")).seconds["full"] is None
    assert need(depths, ledger, keys, replace(CPU, timeout_min=1)).seconds["full"] == pytest.approx(100, abs=0.1)
    finish(depths, ledger, {"depth=2": 100.0})
    monkeypatch.setattr(duration, "hostname", lambda: "elsewhere")
    assert need(depths, ledger, keys, None).seconds["depth=2"] is None


def test_without_finished_runs_the_smallest_and_the_largest_are_timed_here(depths: Plan, ledger: Ledger) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = need(depths, ledger, (), None)
    assert found.source.startswith(
        ("a few steps of 2 networks timed on this", "a few steps of 1 network timed on this")
    )
    assert all(0 < seconds < 3600 for seconds in found.seconds.values() if seconds)
    assert None not in found.seconds.values()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_of_a_large_network_a_smaller_batch_is_timed_and_of_a_huge_one_none(
    depths: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[int] = []

    def second(config: Any, images: int, device: Any) -> float:
        timed.append(images)
        return 1.0

    monkeypatch.setattr(duration, "_seconds_of_step", second)
    config = replace(depths.config(depths.sweep.ablations[0].variants[0]), training=TrainingConfig(batch_size=100))
    images_fitting = {1e6: 100, LARGEST_STEP / 75: 25, LARGEST_STEP: 2}  # forward FLOPs of an image
    for size, images in images_fitting.items():
        monkeypatch.setattr(duration, "cost", lambda config, size=size: Pace(size, 0, 0))
        factor = 100 / images  # 1257 images to train on, in 12 whole batches, and 180 to validate on
        expected = pytest.approx(12 * factor + 1.8 * factor / 3)
        assert time_steps(config).epoch == expected  # type: ignore[union-attr]
        assert time_steps(config, replace(CPU, nodes=2)).epoch == pytest.approx(expected.expected / 2)  # type: ignore[union-attr]
    assert timed == [100, 100, 25, 25, 2, 2]
    monkeypatch.setattr(duration, "cost", lambda config: Pace(1e10, 0, 0))
    assert time_steps(config) is None


def of_seconds(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "time_steps", lambda config, profile: Pace(cost(config).flops, 0.0, seconds))


@pytest.mark.parametrize(
    ("seconds", "profile", "lines"),
    [
        (1800, CPU, ["3 h of runs in all.", "6 jobs on partition cpu, each of at most 1 h."]),
        (
            7000,
            replace(CPU, runs_per_gpu=4, partition=None),
            [
                "11.7 h of runs in all.",
                "2 jobs on the default partition, each of at most 1 h.",
                "cluster.timeout_min=60 is too short: a run of 1.9 h goes back to the queue 2 times; "
                "cluster.timeout_min=142 leaves a fifth to spare.",
            ],
        ),
        (
            7000,
            replace(CPU, max_timeouts=1),
            [
                "11.7 h of runs in all.",
                "6 jobs on partition cpu, each of at most 1 h.",
                "cluster.timeout_min=60 is too short: a run of 1.9 h fails after cluster.max_timeouts=1; "
                "cluster.timeout_min=142 leaves a fifth to spare.",
            ],
        ),
        (
            7000,
            GPU,
            [
                "11.7 h of runs in all, 47 GPU-hours.",
                "6 jobs on partition gpu, each of at most 1 h.",
                "Whether cluster.timeout_min=60 is long enough cannot be told from this machine's CPU: "
                "the jobs have a GPU.",
            ],
        ),
    ],
)
def test_a_cluster_is_told_its_jobs_hours_and_limits(
    depths: Plan,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    profile: ClusterProfile,
    lines: list[str],
) -> None:
    monkeypatch.setattr(duration, "has_gpu", lambda: False)
    of_seconds(seconds, monkeypatch)
    first, *rest = need(depths, ledger, (), profile).lines()
    assert [first.partition("; ")[2], *rest] == lines


def test_variants_with_resources_of_their_own_have_jobs_of_their_own(
    depths: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def longer(variant: Variant) -> Variant:
        return replace(variant, resources={"timeout_min": 600} if variant.name == "full" else {})

    [ablation] = depths.sweep.ablations
    variants = [longer(variant) for variant in ablation.variants]
    plan = replace(depths, sweep=replace(depths.sweep, ablations=[replace(ablation, variants=variants)]))
    of_seconds(7000, monkeypatch)
    found = need(plan, ledger, (), CPU)
    assert [(jobs.count, jobs.timeout_min) for jobs in found.jobs] == [(2, 600), (4, 60)]
    assert len(found.warnings) == 1


@pytest.mark.parametrize("protocol", Protocol)
def test_images_of_a_published_set_are_counted_as_they_are_split(protocol: Protocol, tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", LAYOUTS["mnist"][0])
    config = RunConfig(data=published("mnist", tmp_path), training=TrainingConfig(protocol=protocol))
    data = load(config.data, hold_out=protocol is Protocol.holdout)
    assert duration._images(config) == (len(data.train), len(data.validation))


def test_a_tuned_table_has_its_hours_too(planner: Planner, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    of_seconds(3600, monkeypatch)
    tune = ["ablation.tune=optimizer.lr", "ablation.tune_values=[0.001,0.01]", "ablation.tune_seeds=[1000]"]
    found = need(planner.ablations(["depth"], [*DEPTHS, *tune], [0, 1]), ledger, (), None)
    assert (found.hours, found.at_most_hours) == pytest.approx((6 + 6, 6 + 6 + 6))
    planned = planner.ablations(["depth"], [*DEPTHS, *tune], [0, 1])
    untuned = {key for variant in planned.sweep.ablations[0].variants for key in variant.runs.values()}
    found = need(planned, ledger, untuned, None)
    assert (found.hours, found.at_most_hours) == pytest.approx((6, 6 + 6))


def test_looks_have_a_most_and_nothing_to_run_takes_no_time(
    planner: Planner, depths: Plan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_seconds(3600, monkeypatch)
    found = need(planner.ablations(["depth"], [*DEPTHS, "ablation.looks=[3,5]"], None), ledger, (), None)
    assert (found.hours, found.at_most_hours) == pytest.approx((9, 15))
    assert found.lines()[0].endswith("9 h of runs in all, at most 15 h to the last look.")
    nothing = need(depths, ledger, set(depths.configs), None)
    assert (nothing.hours, nothing.lines()) == (0, [])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.4, "9 s"), (90, "1.5 min"), (600, "10 min"), (3600, "1 h"), (5.2e6, "1,444 h")],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert span(seconds) == text
