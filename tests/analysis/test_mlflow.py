"""What MLflow alone can tell: our own runs after a sync, and those of somebody else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from terminator import analysis
from terminator.analysis.mlflow import linked, load_mlflow
from terminator.analysis.report import write_report
from terminator.analysis.summary import summarize
from terminator.errors import UserError
from terminator.ledger import Ledger, Reason, Variant
from terminator.tracking import SyncReport, sync
from terminator.tracking.parents import record_report
from terminator.tracking.store import read_runs
from terminator.tracking.uri import default_uri
from tests.analysis.ledgers import branches

# mlflow's database layer warns of its own calls.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Path:
    root = tmp_path_factory.mktemp("tracked")
    shutil.copy(database, root)
    lost = {("no_gated", 1): (Reason.diverged, "")}
    report = sync(branches(1, seeds=(0, 1), epochs=3, failed=lost).write(root), None)
    assert report.problem is None
    return root


@pytest.fixture
def other(tmp_path: Path, database: Path) -> Path:
    """A root with a database without runs."""
    shutil.copy(database, tmp_path)
    return tmp_path


def test_a_synced_ledger_reads_the_same(root: Path) -> None:
    ledger, store = analysis.load(root), analysis.load(tracking_uri=default_uri(root))
    columns = ["variant", "seed", "key", "state", "reason", "dataset", "model", "commit", "code_hash", "is_baseline"]
    columns += ["test_accuracy", "validation_accuracy", "parameters", "flops", "train_seconds", "attempts"]
    sort = ["variant", "seed"]
    ours, theirs = (each.runs.sort_values(sort)[columns].reset_index(drop=True) for each in (ledger, store))
    pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)
    curves = ["variant", "seed", "epoch", "train_loss", "validation_accuracy"]
    ours, theirs = (each.epochs.sort_values([*sort, "epoch"])[curves] for each in (ledger, store))
    pd.testing.assert_frame_equal(ours.reset_index(drop=True), theirs.reset_index(drop=True), check_dtype=False)
    summary = summarize(store, store.questions[0])
    assert summary.variants[1].change.parts() == ["gated"]


def test_what_was_asked_is_read_back(other: Path) -> None:
    """Also when the same runs are asked anew: the newest sweep's question counts, and nothing but tags is written."""
    ledger = branches(1, seeds=(0, 1), epochs=2).write(other)
    sync(ledger, None)
    [sweep] = ledger.sweeps()
    changes = {"baseline": "no_gated", "metric": "test_loss", "higher_is_better": False, "smallest_effect": 0.02}
    anew = replace(sweep.ablations[0], **changes)
    ledger.write_sweep(replace(sweep, id="branches-anew", created=sweep.created + 1, ablations=[anew]))
    assert sync(ledger, None) == SyncReport(runs=4)
    assert sync(ledger, None) == SyncReport(unchanged=4)
    uri = default_uri(other)
    [ours], [theirs] = analysis.load(other).questions, analysis.load(tracking_uri=uri).questions
    variants = [Variant(variant.name) for variant in anew.variants]
    assert theirs.ablation == replace(ours.ablation, question="", variants=variants)
    assert theirs.sweep.id == ours.sweep.id == "branches-anew"
    assert (theirs.ablation.baseline, theirs.ablation.smallest_effect) == ("no_gated", 0.02)
    chosen = load_mlflow(uri, baseline="full", metric="test_accuracy").questions[0].ablation
    usual = ("full", "test_accuracy", True, 0.005)
    assert (chosen.baseline, chosen.metric, chosen.higher_is_better, chosen.smallest_effect) == usual


def test_runs_without_their_baseline_are_compared_with_nothing_else(other: Path) -> None:
    sync(branches(2, seeds=(0,), epochs=2, pending=[("full", 0)]).write(other), None)
    results = analysis.load(tracking_uri=default_uri(other))
    assert results.questions[0].ablation.baseline == "full"
    with pytest.raises(UserError, match="ablation=branches: no run of its baseline full to compare with"):
        summarize(results, results.questions[0])


def test_runs_are_linked_to_mlflow(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = analysis.load(root)
    links = linked(results, root).runs["link"]
    assert links.nunique() == 4
    assert links.str.match(r"http://127\.0\.0\.1:5000/#/experiments/\d+/runs/[0-9a-f]{32}").all()
    caplog.clear()
    assert linked(results, tmp_path).runs["link"].isna().all()
    assert not caplog.messages
    (tmp_path / "mlflow.db").write_text("not a database, but as long as a header of one would be: a hundred bytes" * 2)
    assert linked(results, tmp_path).runs["link"].isna().all()
    assert caplog.messages == [
        f"tracking_uri=sqlite:///{tmp_path}/mlflow.db: cannot be read as an MLflow store (file is not a database): "
        "the page has no links to its runs"
    ]


@pytest.mark.usefixtures("quick_pdfs")
def test_a_sweep_holds_its_report(root: Path) -> None:
    """As artifacts of its run in MLflow, with the table in its description: the newest, and only the sweep's own."""
    ledger, page = Ledger(root), write_report(root)
    [sweep] = ledger.sweeps()
    assert sync(ledger, None) == SyncReport(unchanged=4)
    [parent] = [run for run in read_runs(default_uri(root)) if run.is_sweep]
    assert (parent.name, parent.status) == (sweep.id, "FAILED")  # as one of its runs has
    artifacts = root / "mlflow-artifacts" / "branches" / parent.run_id / "artifacts" / "report"
    first = page.read_bytes()
    assert (artifacts / "report.html").read_bytes() == first
    figure = page.parent / "figures" / "branches-differences.png"
    assert (artifacts / "tables" / "branches.tex").exists()
    assert (artifacts / "figures" / figure.name).exists()
    assert (page.parent / "tables" / "branches.md").read_text("utf-8") in parent.tags["mlflow.note.content"]
    page.write_bytes(b"another sweep's")
    sync(ledger, None)
    assert (artifacts / "report.html").read_bytes() == first
    page.write_bytes(b"its own")
    record_report(root, sweep, page)
    figure.unlink()
    sync(ledger, None)
    assert (artifacts / "report.html").read_bytes() == b"its own"
    assert not (artifacts / "figures" / figure.name).exists()


def test_what_is_not_there_is_named(root: Path, tmp_path: Path) -> None:
    uri = default_uri(root)
    with pytest.raises(UserError, match=r"ablation=gating: no runs in .*; there are: branches"):
        load_mlflow(uri, "gating")
    with pytest.raises(UserError, match="baseline=none: no variant of branches; choose from full, no_gated"):
        load_mlflow(uri, baseline="none")
    with pytest.raises(UserError, match="no such file"):
        load_mlflow(default_uri(tmp_path))
    (tmp_path / "mlflow.db").write_text("no database, but long enough to be taken for one" * 100, "utf-8")
    with pytest.raises(UserError, match="cannot be read as an MLflow store"):
        load_mlflow(default_uri(tmp_path))


def test_somebody_else_s_runs(other: Path) -> None:
    """By names and parameters alone, through MLflow's own client."""
    from mlflow import MlflowClient

    uri = default_uri(other)
    client = MlflowClient(uri)
    experiment = client.create_experiment("kernels", (other / "artifacts").as_uri())
    for variant, level in (("wide", 0.9), ("narrow", 0.8)):
        for seed in range(3):
            run = client.create_run(experiment, run_name=f"{variant} {seed}").info.run_id
            for key, value in {"variant": variant, "seed": seed, "dataset": "mnist"}.items():
                client.log_param(run, key, value)
            for step in (1, 2):
                client.log_metric(run, "accuracy", level + seed / 100 + step / 1000 * (seed + 1), step=step)
            client.set_terminated(run)
    results = load_mlflow(uri, metric="accuracy", baseline="wide")
    summary = summarize(results, results.questions[0])
    assert summary.dataset == "mnist"
    assert summary.baseline.values == pytest.approx({0: 0.902, 1: 0.914, 2: 0.926})
    narrow = summary.variants[1]
    assert narrow.comparison is not None
    assert narrow.comparison.pairs.mean == pytest.approx(-0.1)
    assert len(results.epochs) == 12
