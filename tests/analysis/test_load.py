from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from terminator import analysis
from terminator.analysis.report import write_report
from terminator.analysis.results import EPOCH_COLUMNS, own_settings
from terminator.analysis.summary import summarize
from terminator.errors import UserError
from terminator.ledger import Reason, files
from tests.analysis.ledgers import branches

FAILED = {("no_local", 1): (Reason.out_of_memory, "no room for 3 GiB")}


def test_one_row_a_run_and_one_a_run_and_epoch(tmp_path: Path) -> None:
    branches(failed=FAILED, pending=[("no_gated", 2)]).write(tmp_path)
    results = analysis.load(tmp_path, "branches")
    assert len(results.runs) == 27
    assert results.runs["state"].value_counts().to_dict() == {"done": 25, "failed": 1, "pending": 1}
    assert len(results.epochs) == 25 * 6 + 1

    full = results.runs.iloc[0]
    assert (full.variant, full.is_baseline, full.seed, full.dataset) == ("full", True, 0, "digits")
    assert (full.model, full.commit[:8], full.attempts, full.job) == ("terminator", "1f2e3d4c", 1, "slurm 77_0")
    assert full.parameters == 100_000
    assert 0.9 < full.test_accuracy < 1
    assert Path(full.log_path).read_text("utf-8") == "epoch 1: as invented\n"
    lost = results.runs.query("variant == 'no_local' and seed == 1").iloc[0]
    assert (lost.reason, lost.message) == ("out_of_memory", "no room for 3 GiB")
    assert lost.overrides == {"model.branches.local": False}
    assert lost.isna().test_accuracy

    ((ablation, sweep, looks, plan),) = results.questions
    assert (looks, plan) == (None, None)
    assert (ablation.baseline, ablation.metric, ablation.smallest_effect) == ("full", "test_accuracy", 0.005)
    assert [variant.name for variant in ablation.variants][:2] == ["full", "no_gated"]
    assert sweep.ablations == [ablation]


def test_filters(tmp_path: Path) -> None:
    branches(failed=FAILED).write(tmp_path)
    results = analysis.load(tmp_path, variant=["full", "no_local"], state="done", commit="1f2e")
    assert len(results.runs) == 5
    assert set(results.epochs["variant"]) == {"full", "no_local"}
    assert analysis.load(tmp_path, commit="2f").runs.empty


def test_the_newest_sweep_is_read_unless_another_is_named(tmp_path: Path) -> None:
    branches(2, created=1.0).write(tmp_path)
    branches(2, created=2.0, seeds=(5, 6)).write(tmp_path)
    newest = analysis.load(tmp_path, "branches")
    assert sorted(newest.runs["seed"].unique()) == [5, 6]
    (older,) = {folder.name for folder in (tmp_path / "sweeps").iterdir()} - {newest.questions[0].sweep.id}
    assert sorted(analysis.load(tmp_path, sweep=older).runs["seed"].unique()) == [0, 1, 2]


def test_one_sweep_a_data_set(tmp_path: Path) -> None:
    branches(2, created=1.0, dataset="mnist").write(tmp_path)
    branches(2, created=2.0).write(tmp_path)
    assert set(analysis.load(tmp_path).runs["dataset"]) == {"digits"}
    both = analysis.load(tmp_path, dataset=["mnist", "digits"])
    assert both.runs["dataset"].value_counts().to_dict() == {"mnist": 9, "digits": 9}
    with pytest.raises(UserError, match=r"dataset=cifar10: branches has no results on it; there are: digits, mnist"):
        analysis.load(tmp_path, "branches", dataset="cifar10")
    with pytest.raises(UserError, match="no results on cifar10 in it"):
        analysis.load(tmp_path, dataset="cifar10")
    branches(1, name="gating").write(tmp_path)
    assert [question.ablation.name for question in analysis.load(tmp_path, dataset="mnist").questions] == ["branches"]


def test_a_run_that_two_ablations_share_is_in_both(tmp_path: Path) -> None:
    branches(2).write(tmp_path)
    branches(1, name="gating").write(tmp_path)
    runs = analysis.load(tmp_path, ["branches", "gating"]).runs
    baselines = [set(keys) for _, keys in runs.query("is_baseline").groupby("ablation")["key"]]
    assert len(baselines) == 2
    assert baselines[0] == baselines[1]


def test_a_deleted_run_is_pending(tmp_path: Path) -> None:
    ledger = branches(1).write(tmp_path)
    shutil.rmtree(ledger.run(str(analysis.load(tmp_path).runs.key[3])).folder)
    assert analysis.load(tmp_path).runs.state[3] == "pending"


def test_an_ablation_without_results(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root=.*: no results in it; python -m terminator.run"):
        analysis.load(tmp_path)
    with pytest.raises(UserError, match=r"ablation=branches: no results in .*; there are: none"):
        analysis.load(tmp_path, "branches")
    branches(1).write(tmp_path)
    with pytest.raises(UserError, match=r"ablation=brunches: no results in .*; there are: branches"):
        analysis.load(tmp_path, "brunches")
    with pytest.raises(UserError, match="sweep=gating: no such sweep"):
        analysis.load(tmp_path, sweep="gating")


def test_a_ledger_written_at_3795d4e_is_read(tmp_path: Path) -> None:
    """Two epochs of two variants of `gating`, recorded there; expected are the numbers of its own report."""
    recorded = Path(__file__).with_name("recorded") / "ledger_3795d4e.json"
    for name, content in json.loads(recorded.read_text("utf-8")).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = map(files.row_line, content) if path.suffix == ".jsonl" else [json.dumps(content)]
        path.write_text("".join(rows), "utf-8")
    results = analysis.load(tmp_path)
    assert set(results.runs["state"]) == {"done"}
    assert {packages["torch"] for packages in results.runs["packages"]} == {"2.13.0+cpu"}
    assert len(results.epochs) == 8
    (question,) = results.questions
    assert set(own_settings(question.sweep)) >= {"training.epochs=2", "seed=0,1"}
    full, plain = summarize(results, question).variants
    assert (full.mean, full.std) == pytest.approx((93.05555555555554, 3.142696805273544), rel=1e-12)
    assert plain.comparison is not None
    assert plain.comparison.pairs.mean == pytest.approx(0.2777777777777857, rel=1e-12)
    assert plain.comparison.p_raw == pytest.approx(0.5000000000000001, rel=1e-9)
    assert write_report(tmp_path, "gating").exists()


def test_frames_made_in_parts_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branches(failed=FAILED, pending=[("no_gated", 2)]).write(tmp_path)
    whole = analysis.load(tmp_path)
    monkeypatch.setattr("terminator.analysis.results.ROWS_AT_ONCE", 7)
    parts = analysis.load(tmp_path)
    pd.testing.assert_frame_equal(whole.runs, parts.runs)
    pd.testing.assert_frame_equal(whole.epochs, parts.epochs)


def test_only_the_curves_that_are_asked_for_are_read(tmp_path: Path) -> None:
    branches(1).write(tmp_path)
    every, some = analysis.load(tmp_path), analysis.load(tmp_path, curves=["validation_accuracy"])
    assert "train_loss" in every.epochs
    assert set(some.epochs) == {*EPOCH_COLUMNS, "validation_accuracy"}
    assert some.epochs["validation_accuracy"].equals(every.epochs["validation_accuracy"])
    assert some.runs["convergence_epochs"].equals(every.runs["convergence_epochs"])
