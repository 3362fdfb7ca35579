"""What of the ledger goes to MLflow, that it goes there once, and MLflow locked, damaged, slow or not there."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import socket
import sqlite3
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from terminator.ledger import Ablation, Cell, Code, Ledger, Reason, Result, RunState, Spec, Status, Sweep, Variant
from terminator.tracking import SyncReport, sync
from terminator.tracking.sync import Entry, Point, curve_points, entries, final_points, run_parameters, run_tags
from tests.ledger.examples import EPOCHS, finish, finish_all, row, sweep, train
from tests.tracking.conftest import client

if TYPE_CHECKING:  # a second to import
    from mlflow.entities import Run as MlflowRun

TABLES = ("experiments", "runs", "params", "tags", "metrics", "latest_metrics")


def runs(ledger: Ledger, experiment: str = "branches") -> dict[str, MlflowRun]:
    found = client(ledger).get_experiment_by_name(experiment)
    of_runs = client(ledger).search_runs([found.experiment_id], "tags.run_key != ''")
    return {run.info.run_name: run for run in of_runs}


def row_counts(ledger: Ledger) -> dict[str, int]:
    with sqlite3.connect(ledger.root / "mlflow.db") as database:
        counts = {table: database.execute(f"select count(*) from {table}").fetchone()[0] for table in TABLES}
    database.close()
    return counts


@pytest.fixture
def finished(ledger: Ledger) -> Ledger:
    finish_all(ledger, sweep(ledger, "branches"))
    return ledger


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


def test_tags_name_the_commit_and_what_was_asked() -> None:
    ablation = Ablation("branches", "Why?", "full", "test_loss", False, 0.02, [0], [])
    asking = Sweep("branches-1", 1.0, ["python"], [], Code("c0de", "1f2e", True), [ablation])
    entry = Entry("http://there", [asking], Cell(ablation, Variant("full"), 0, "k"))
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
    assert [(entry.place.experiment, entry.name) for entry in found[3:5]] == [
        ("branches", "no_local/1"),
        ("gating", "full/0"),
    ]


def test_of_these_runs_only(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches", "gating")
    found = entries(ledger, [planned], runs=planned.keys()[:1])
    assert [(entry.place.experiment, entry.name) for entry in found] == [("branches", "full/0"), ("gating", "full/0")]


def test_of_a_places_sweeps_the_newest_counts(ledger: Ledger) -> None:
    old, new = sweep(ledger, "branches", created=1.0), sweep(ledger, "branches", "gating", created=2.0)
    found = entries(ledger, [old])
    assert [sweep.id for sweep in found[0].sweeps] == [new.id, old.id]
    assert {entry.sweeps[0].id for entry in found} == {new.id}
    assert len(found) == 8  # the old sweep's runs, wherever they stand


def test_each_sweep_has_its_own_store(ledger: Ledger) -> None:
    sweep(ledger, "branches", uri="http://there")
    sweep(ledger, "gating")
    assert {(entry.place.experiment, entry.store) for entry in entries(ledger)} == {
        ("branches", "http://there"),
        ("gating", f"sqlite:///{ledger.root}/mlflow.db"),
    }
    assert {entry.store for entry in entries(ledger, uri="http://here")} == {"http://here"}


def test_everything_that_a_run_left_is_in_mlflow(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    finish_all(ledger, planned)
    assert sync(ledger, [planned]) == SyncReport(runs=4, points=4 * (2 * EPOCHS + 4))
    found = runs(ledger)
    assert sorted(found) == ["full/0", "full/1", "no_local/0", "no_local/1"]
    run = found["no_local/1"]
    key = planned.ablations[0].variants[1].runs[1]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"model.local": "false", "model.kernels": "[3, 5]", "data.name": "digits", "seed": "1"}
    assert {name: run.data.tags[name] for name in ("run_key", "variant", "seed", "commit", "state", "sweep")} == {
        "run_key": key,
        "variant": "no_local",
        "seed": "1",
        "commit": "1f2e",
        "state": "done",
        "sweep": planned.id,
    }
    assert run.data.metrics == {
        "train_loss": 1 / 3,
        "validation_accuracy": 0.75,
        "best_validation_accuracy": 0.75,
        "test_accuracy": 0.75,
        "parameters": 100,
        "epochs": 3,
    }
    curve = client(ledger).get_metric_history(run.info.run_id, "train_loss")
    assert [(point.step, point.value, point.timestamp) for point in curve] == [
        (1, 1.0, 1_001_000),
        (2, 0.5, 1_002_000),
        (3, 1 / 3, 1_003_000),
    ]
    artifact = ledger.root / "mlflow-artifacts" / "branches" / run.info.run_id / "artifacts" / "spec.json"
    assert json.loads(artifact.read_text())["key"] == key
    assert [(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs] == [("digits", "unknown")]
    source = {name: value for name, value in run.data.tags.items() if name.startswith("mlflow.source")}
    assert source == {
        "mlflow.source.name": "python",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "1f2e",
    }


def found_under(ledger: Ledger, planned: Sweep) -> tuple[MlflowRun, set[str], set[str]]:
    """The sweep's run; the names of its children; of all its training runs, by the search in its description."""
    everywhere = [each.experiment_id for each in client(ledger).search_experiments()]
    (parent,) = client(ledger).search_runs(everywhere, f"tags.kind = 'sweep' and tags.sweep = '{planned.id}'")
    note = parent.data.tags["mlflow.note.content"]
    (search,) = re.findall("`(.*?)`", note)
    assert f"#/experiments/{parent.info.experiment_id}?searchFilter={quote(search, safe='')}" in note
    children = client(ledger).search_runs(everywhere, f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    all_runs = client(ledger).search_runs(everywhere, f"{search} and tags.run_key != ''")
    return parent, {run.info.run_name for run in children}, {run.info.run_name for run in all_runs}


def test_a_run_of_two_sweeps_is_found_under_both(ledger: Ledger) -> None:
    """It is the newest's child; a search that the other's description names finds it there."""
    old, new = sweep(ledger, "branches", created=1.0), sweep(ledger, "branches", "gating", created=2.0)
    first, *others = map(ledger.run, new.keys())
    train(first)
    sync(ledger, [old])
    assert found_under(ledger, new)[1:] == ({"full/0"}, {"full/0"})
    assert found_under(ledger, old)[0].info.status == "RUNNING"
    first.begin().finish({"test_accuracy": 0.75})
    for run in others:
        finish(run)
    assert sync(ledger, None).problem is None
    names = {"full/0", "full/1", "no_local/0", "no_local/1"}
    parent, children, all_runs = found_under(ledger, new)
    assert (parent.info.run_name, parent.info.status) == ("branches+gating-" + new.id[-8:], "FINISHED")
    assert (children, all_runs) == (names, names)
    assert found_under(ledger, old)[1:] == (set(), names)
    assert sync(ledger, None) == SyncReport(unchanged=8)


def test_a_second_sync_writes_nothing(finished: Ledger) -> None:
    sync(finished, None)
    before = (finished.root / "mlflow.db").read_bytes()
    assert sync(finished, None) == SyncReport(unchanged=4)
    assert (finished.root / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("lost", ["epoch", "state"])
def test_a_sync_that_died_halfway_is_made_up_without_doubles(finished: Ledger, lost: str) -> None:
    sync(finished, None)
    before = row_counts(finished)
    run_id = runs(finished)["full/0"].info.run_id
    client(finished).delete_tag(run_id, lost)
    client(finished).update_run(run_id, "RUNNING")
    report = sync(finished, None)
    assert (report.runs, report.unchanged, report.problem) == (1, 3, None)
    assert row_counts(finished) == before
    assert runs(finished)["full/0"].info.status == "FINISHED"


def test_a_lost_database_is_filled_again(finished: Ledger, database: Path) -> None:
    sync(finished, None)
    before = row_counts(finished)
    (finished.root / "mlflow.db").write_bytes(database.read_bytes())
    sync(finished, None)
    assert row_counts(finished) == before


def test_a_shared_run_is_in_both_experiments(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches", "gating")
    finish(ledger.run(planned.keys()[0]))
    sync(ledger, [planned])
    assert runs(ledger, "branches").keys() == runs(ledger, "gating").keys() == {"full/0"}


def test_a_run_is_followed_and_its_requeued_attempt_stays_the_same_mlflow_run(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    run = ledger.run(planned.keys()[0])
    first = train(run, last=2)
    first.checkpoint_path.write_text("weights")
    sync(ledger, None)
    (followed,) = runs(ledger).values()
    assert (followed.info.status, followed.data.tags["epoch"]) == ("RUNNING", "2")
    assert sync(ledger, None) == SyncReport(unchanged=1)
    first.stop(RunState.preempted)
    sync(ledger, None)
    assert runs(ledger)["full/0"].info.status == "SCHEDULED"
    second = run.begin()
    second.adopt(first.checkpoint_path, epoch=2)
    second.log_epoch(row(3, began=2000.0))
    second.finish({"test_accuracy": 0.75})
    sync(ledger, None)
    (requeued,) = runs(ledger).values()
    assert requeued.info.run_id == followed.info.run_id
    assert (requeued.info.status, requeued.data.tags["attempt"]) == ("FINISHED", "2")
    curve = client(ledger).get_metric_history(requeued.info.run_id, "train_loss")
    assert [(point.step, point.timestamp) for point in curve] == [(1, 1_001_000), (2, 1_002_000), (3, 2_003_000)]


def test_a_run_that_began_anew_has_no_epoch_twice(ledger: Ledger) -> None:
    run = ledger.run(sweep(ledger, "branches").keys()[0])
    train(run, last=2).fail(Reason.node_lost, "n1 is down")
    sync(ledger, None)
    assert runs(ledger)["full/0"].info.status == "FAILED"
    again = run.begin()
    for epoch in (1, 2, 3):
        again.log_epoch(row(epoch, began=5000.0))
        sync(ledger, None)
    curve = client(ledger).get_metric_history(runs(ledger)["full/0"].info.run_id, "train_loss")
    assert [point.step for point in curve] == [1, 2, 3]
    assert runs(ledger)["full/0"].info.status == "RUNNING"


def test_values_that_are_no_finite_numbers_stay_idempotent(ledger: Ledger) -> None:
    run = ledger.run(sweep(ledger, "branches").keys()[0])
    attempt = run.begin()
    attempt.log_epoch({"epoch": 1, "time": 1.0, "train_loss": float("nan"), "train_penalty": float("inf")})
    attempt.fail(Reason.diverged, "train_loss is nan at step 3")
    sync(ledger, None)
    before = row_counts(ledger)
    client(ledger).delete_tag(runs(ledger)["full/0"].info.run_id, "epoch")
    sync(ledger, None)
    assert row_counts(ledger) == before
    assert runs(ledger)["full/0"].data.tags["reason"] == "diverged"


def test_a_run_that_is_in_disorder_does_not_stand_in_the_others_way(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    finish_all(ledger, planned)
    (ledger.run(planned.keys()[0]).folder / "spec.json").unlink()
    (ledger.run(planned.keys()[1]).attempt_folder(1) / "metrics.jsonl").write_text('{"epoch":1,"train_loss":1}\n')
    report = sync(ledger, None)
    assert report.runs == 2
    assert re.match(r"full/0: run .*spec\.json is missing: .*; full/1: KeyError: 'time'", report.problem)


def test_a_run_that_mlflow_refuses_does_not_stand_in_the_others_way(ledger: Ledger) -> None:
    first, *others = map(ledger.run, sweep(ledger, "branches").keys())
    attempt = first.begin()
    attempt.log_epoch({"epoch": 1, "time": 1.0, "not a name?": 0.5})
    for run in others:
        finish(run)
    report = sync(ledger, None)
    assert report.runs == 3
    assert re.match(r'full/0: Invalid value "not a name\?"', report.problem)


def test_what_the_user_deleted_in_mlflow_stays_deleted(finished: Ledger) -> None:
    sync(finished, None)
    client(finished).delete_experiment(client(finished).get_experiment_by_name("branches").experiment_id)
    before = row_counts(finished)
    assert sync(finished, None) == SyncReport(unchanged=4)
    assert row_counts(finished) == before


def test_a_server_that_is_not_there_costs_no_time_and_loses_nothing(finished: Ledger) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, not listening: it refuses
        began = time.monotonic()
        report = sync(finished, None, uri)
    assert time.monotonic() - began < 30
    assert report.runs == 0
    assert report.problem.startswith(f"{uri}: ")
    assert report.problem.endswith("Connection refused")
    assert sync(finished, None).runs == 4


def test_a_server_that_does_not_answer_is_given_up(finished: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        report = sync(finished, None, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 30
    assert "timed out" in report.problem


def test_a_locked_database_is_waited_for(finished: Ledger) -> None:
    writer = sqlite3.connect(finished.root / "mlflow.db", check_same_thread=False, isolation_level=None)
    writer.execute("begin exclusive")
    release = threading.Timer(0.5, lambda: (writer.execute("commit"), writer.close()))
    release.start()
    report = sync(finished, None)
    release.join()
    assert report.runs == 4
    assert report.problem is None


def test_a_damaged_database_is_a_line(finished: Ledger) -> None:
    path = finished.root / "mlflow.db"
    whole = path.read_bytes()
    path.write_bytes(b"no database" * 1000)
    report = sync(finished, None)
    damaged = "damaged (file is not a database): move it away, and everything returns"
    assert report.problem == f"sqlite:///{path}: {damaged}"
    path.write_bytes(whole[: len(whole) // 2])
    assert "damaged (database disk image is malformed)" in str(sync(finished, None).problem)
    path.rename(path.with_suffix(".away"))
    assert sync(finished, None).runs == 4


def test_one_syncer_at_a_time(finished: Ledger) -> None:
    holder = os.open(finished.root / ".sync.lock", os.O_CREAT | os.O_WRONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    report = sync(finished, None, patience=0.2)
    assert report.runs == 0
    assert "another process is syncing" in report.problem
    os.close(holder)  # as when that process dies, however it does
    assert sync(finished, None) == SyncReport(runs=4, points=40)
