from __future__ import annotations

import math

import pytest

from terminator.ledger import Ablation, Code, Ledger, Reason, Result, RunState, Spec, Status
from terminator.tracking.sync import (
    Entry,
    Point,
    curve_points,
    entries,
    final_points,
    mlflow_status,
    run_parameters,
    run_tags,
)
from tests.ledger.examples import sweep


def test_parameters_are_the_configuration_made_flat() -> None:
    config = {"model": {"gate": "rgu", "kernels": [3, 5], "branches": {"local": True}}, "seed": 0, "threads": None}
    assert run_parameters(config) == {
        "model.gate": "rgu",
        "model.kernels": "[3, 5]",
        "model.branches.local": "true",
        "seed": "0",
        "threads": "null",
    }


def test_a_parameter_beyond_the_limit_is_cut_and_says_so() -> None:
    whole, cut = run_parameters({"a": "x" * 6000, "b": "x" * 6001}).values()
    assert whole == "x" * 6000
    assert cut == "x" * 5994 + " (cut)"
    assert len(cut) == 6000


def test_a_row_becomes_points_at_its_own_time() -> None:
    row = {"epoch": 2, "step": 40, "time": 12.3456, "train_loss": math.inf, "note": "text", "best": True}
    assert curve_points(row) == [Point("train_loss", math.inf, 12345, 2)]


def test_a_final_metric_leaves_the_curve_of_its_name_alone() -> None:
    rows = [{"epoch": epoch, "time": 1.0, "validation_accuracy": 0.5} for epoch in (1, 2)]
    result = Result("k", 1, 9.0, {"test_accuracy": 0.9, "validation_accuracy": 0.8, "note": "text"})
    assert final_points(result, rows) == [
        Point("test_accuracy", 0.9, 9000, 2),
        Point("best_validation_accuracy", 0.8, 9000, 2),
    ]


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (RunState.running, None, "RUNNING"),
        (RunState.done, None, "FINISHED"),
        (RunState.failed, Reason.exception, "FAILED"),
        (RunState.failed, Reason.timeout, "FAILED"),
        (RunState.failed, Reason.killed, "KILLED"),
        (RunState.failed, Reason.cancelled, "KILLED"),
        (RunState.interrupted, Reason.interrupted, "KILLED"),
        (RunState.preempted, Reason.preempted, "SCHEDULED"),
    ],
)
def test_the_state_in_mlflows_words(state: RunState, reason: Reason | None, said: str) -> None:
    assert mlflow_status(Status(state, reason)) == said


def test_tags_name_the_commit_and_what_was_asked() -> None:
    ablation = Ablation("branches", "Why?", "full", "test_loss", False, 0.02, [0], [])
    entry = Entry("http://there", ablation, "full", 0, "k", "branches-1")
    spec = Spec("k", {"data": {"name": "digits"}}, Code("c0de", "1f2e", True), {}, 1.0)
    tags = run_tags(entry, spec, Status(RunState.done, attempt=2))
    assert tags["commit"] == "1f2e+changes"
    assert (tags["run_key"], tags["variant"], tags["seed"], tags["dataset"]) == ("k", "full", "0", "digits")
    assert (tags["state"], tags["attempt"], tags["reason"]) == ("done", "2", "")
    asked = {"baseline": "full", "metric": "test_loss", "higher_is_better": "false", "smallest_effect": "0.02"}
    assert asked.items() <= tags.items()


def test_a_shared_run_has_an_entry_in_each_ablation(ledger: Ledger) -> None:
    union = sweep(ledger, "branches", "gating")
    found = entries(ledger, [union])
    assert len(found) == 8
    assert [(entry.experiment, entry.name) for entry in found[3:5]] == [
        ("branches", "no_local/1"),
        ("gating", "full/0"),
    ]


def test_of_these_runs_only(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches", "gating")
    found = entries(ledger, [planned], runs=planned.keys()[:1])
    assert [(entry.experiment, entry.name) for entry in found] == [("branches", "full/0"), ("gating", "full/0")]


def test_of_a_places_sweeps_the_newest_counts(ledger: Ledger) -> None:
    old, new = sweep(ledger, "branches", created=1.0), sweep(ledger, "branches", "gating", created=2.0)
    found = entries(ledger, [old])
    assert {entry.sweep for entry in found} == {new.id}
    assert len(found) == 8  # the old sweep's runs, wherever they stand


def test_each_sweep_has_its_own_store(ledger: Ledger) -> None:
    sweep(ledger, "branches", uri="http://there")
    sweep(ledger, "gating")
    assert {(entry.experiment, entry.store) for entry in entries(ledger)} == {
        ("branches", "http://there"),
        ("gating", f"sqlite:///{ledger.root}/mlflow.db"),
    }
    assert {entry.store for entry in entries(ledger, uri="http://here")} == {"http://here"}
