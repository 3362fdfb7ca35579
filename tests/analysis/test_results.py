"""A trial run with other settings: named wherever its numbers are, and never in the place of the results."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from terminator import analysis
from terminator.analysis.claims import main as claims
from terminator.analysis.claims import write_claims
from terminator.analysis.findings import read_claims
from terminator.analysis.report import main, write_report
from terminator.analysis.results import own_settings
from terminator.ledger import Sweep
from tests.analysis.ledgers import COMMITTED, branches

TRIAL = ("training.epochs=1", "seed=0")
SAID = "training.epochs=1 seed=0"


def test_settings_are_data_other_than_the_usual_and_what_else_was_given() -> None:
    sweep = Sweep("branches-1", 1.0, [], [], COMMITTED, [], settings=("model.width=2", "seed=0,1"), data=("digits",))
    assert own_settings(sweep) == ("model.width=2", "seed=0,1")
    assert own_settings(replace(sweep, settings=(), data=("sdigits",))) == ("data=sdigits",)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results, then a trial of the same ablation; of another ablation a trial alone."""
    root = tmp_path_factory.mktemp("trial")
    branches(2, created=1.0).write(root)
    branches(2, created=2.0, typed=TRIAL, seeds=[0], epochs=1).write(root)
    branches(1, created=3.0, name="gating", typed=TRIAL, seeds=[0], epochs=1).write(root)
    return root


def trial(root: Path) -> str:
    return next(path.name for path in (root / "sweeps").glob("branches-*") if SAID.split()[0] in _text(path))


def _text(sweep: Path) -> str:
    return (sweep / "sweep.json").read_text("utf-8")


def test_results_come_before_a_newer_trial(root: Path) -> None:
    results = analysis.load(root)
    settings = {question.ablation.name: own_settings(question.sweep) for question in results.questions}
    assert settings == {"branches": (), "gating": TRIAL}
    for chosen, expected in (({"dataset": "digits"}, ()), ({"sweep": trial(root)}, TRIAL)):
        (question,) = analysis.load(root, "branches", **chosen).questions
        assert own_settings(question.sweep) == expected


def test_more_seeds_are_no_trial(tmp_path: Path) -> None:
    branches(1, created=1.0).write(tmp_path)
    branches(1, created=2.0, typed=["seed=0,1,2,3"], seeds=range(4)).write(tmp_path)
    (question,) = analysis.load(tmp_path).questions
    assert own_settings(question.sweep) == ("seed=0,1,2,3",)


@pytest.mark.usefixtures("quick_pdfs")
def test_the_report_of_a_trial_has_a_folder_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = write_report(root, "branches")
    assert kept.parent == root / "reports" / "branches"
    before = kept.read_text("utf-8")
    assert "Settings of this sweep" not in capsys.readouterr().out + before
    page = write_report(root, sweep=trial(root))
    assert page.parent == root / "reports" / trial(root)
    assert kept.read_text("utf-8") == before
    note = f"Settings of this sweep ({trial(root)}): {SAID}."
    assert note in " ".join(capsys.readouterr().out.split())
    assert f'<p class="caveat">{note}</p>' in page.read_text("utf-8")
    tables = [path for path in (page.parent / "tables").iterdir() if path.suffix in (".md", ".tex", ".html")]
    assert len(tables) == 9
    assert all(note in path.read_text("utf-8").replace("\\", "") for path in tables)
    assert SAID in (page.parent / "tables" / "branches.csv").read_text("utf-8")


@pytest.mark.usefixtures("quick_pdfs")
def test_other_data_has_a_folder_of_its_own(tmp_path: Path) -> None:
    branches(1).write(tmp_path)
    branches(1, dataset="sdigits").write(tmp_path)
    (question,) = analysis.load(tmp_path, dataset="sdigits").questions
    main(["--root", str(tmp_path), "--sweep", question.sweep.id])
    assert [path.name for path in (tmp_path / "reports").iterdir()] == [question.sweep.id]


def test_claims_are_held_against_results_and_name_a_trial(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(
        "- {claim: one, ablation: branches, variants: [no_gated], expect: worse}\n"
        "- {claim: other, ablation: gating, variants: [no_gated], expect: worse}\n"
        "- {claim: third, ablation: gating, variants: [full], expect: zero_mean}\n"
    )
    text = (write_claims(read_claims(path), root) / "claims.md").read_text("utf-8")
    assert text.count(SAID) == 1
    assert f"- Settings of gating: {SAID}." in text
    folder = write_claims(read_claims(path), root, sweeps=[trial(root)])
    assert folder == root / "reports" / "claims" / trial(root)
    assert f"- Settings of branches: {SAID}." in (folder / "claims.md").read_text("utf-8")


@pytest.mark.parametrize(("typed", "folder"), [(TRIAL, ""), ((), "digits")])
def test_claims_with_settings_show_what_was_just_run(
    typed: tuple[str, ...], folder: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("- {claim: one, ablation: branches, variants: [no_gated], expect: worse}\n")

    def run_again(*_: object) -> int:
        branches(2, created=time.time(), typed=TRIAL, seeds=[0], epochs=1).write(root)
        return 0

    monkeypatch.setattr("terminator.analysis.claims._run", run_again)
    shutil.rmtree(root / "reports", ignore_errors=True)
    with pytest.raises(SystemExit):
        claims(["--root", str(root), "--claims", str(path), "--run", *typed])
    text = (root / "reports" / "claims" / (folder or trial(root)) / "claims.md").read_text("utf-8")
    assert (SAID in text) == bool(typed)
