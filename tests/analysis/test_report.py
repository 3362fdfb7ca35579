from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terminator.analysis import load
from terminator.analysis.report import LISTING, main, record, remove_older
from terminator.analysis.summary import summarize
from tests.analysis.ledgers import LOOKS, branches, summarized

pytestmark = pytest.mark.usefixtures("quick_pdfs")


def test_report_prints_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the features of a run are damaged, which are named and left out."""
    ledger = branches(2).write(tmp_path)
    (next(ledger.runs()).folder / "features.npz").write_bytes(b"half a file")
    older = tmp_path / "reports" / "branches" / "figures" / "branches-crossing.png"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"of a report that crossed factors")
    main(["branches", "--root", str(tmp_path), "--extra", "test_loss", "images_per_second"])
    assert not older.exists()
    out = capsys.readouterr().out
    assert "no_gated" in out
    assert "Images/s" in out
    assert "python -m terminator.inspect" in caplog.text
    folder = tmp_path / "reports" / "branches"
    assert out.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    assert (folder / "figures" / "branches-differences.pdf").exists()
    assert {path.suffix for path in (folder / "tables").iterdir()} == {".md", ".tex", ".csv", ".html"}


@pytest.mark.parametrize("is_own", [True, False])
def test_only_files_of_older_reports_are_removed(is_own: bool, tmp_path: Path) -> None:
    """In the user's own folder the first report does not know what an older version left; from then on it does."""
    for name in ("tables/now.csv", "tables/old.csv", "figures/old.png", "mine.csv", "elsewhere/old.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", "utf-8")
    remove_older(tmp_path, [tmp_path / "tables" / "now.csv"], is_own=is_own)
    assert (tmp_path / "figures" / "old.png").exists() is not is_own
    (tmp_path / LISTING).write_text("tables/old.csv\nfigures/old.png\nelsewhere/old.csv\ntables/../mine.csv\n", "utf-8")
    remove_older(tmp_path, [tmp_path / "tables" / "now.csv"], is_own=False)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.name != LISTING)
    assert left == ["elsewhere/old.csv", "mine.csv", "tables/now.csv"]
    assert (tmp_path / LISTING).read_text("utf-8") == "tables/now.csv\n"


def printed(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> Any:
    """What --json prints, which must be one document without NaN."""
    main([*arguments, "--root", str(root), "--json"])
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_json_has_the_numbers_of_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LOOKS.write(tmp_path)
    found = printed(capsys, tmp_path, "branches")
    assert (tmp_path / "reports" / "branches" / "report.html").exists()
    rows = found.pop("variants")
    assert found == {
        "ablation": "branches",
        "data": "digits",
        "look": 2,
        "seeds": 5,
        "decided": 1,
        "headline": "1 of 2 parts helps, 1 undecided after 5 seeds",
        "metric": "test_accuracy",
        "unit": "%",
        "smallest_effect": 0.5,
        "baseline": "full",
    }
    results = load(tmp_path)
    looks = results.questions[0].looks
    assert looks is not None
    summary = summarize(results, results.questions[0])
    assert [(row["name"], row["n"], row["mean"], row["std"], row["best"], row["tied"]) for row in rows] == [
        (each.name, each.n, each.mean, each.std, each.best, each.tied) for each in summary.variants
    ]
    full, clear, unclear = rows
    assert [full[key] for key in ("difference", "interval", "p", "verdict")] == [None] * 4
    for row, verdict in ((clear, "worse"), (unclear, "undecided")):
        decision = looks[-1].decisions[row["name"]]
        assert decision.interval is not None
        assert row["verdict"] == verdict
        assert row["interval"] == [decision.interval.low, decision.interval.high]
        assert row["p"] == decision.p_difference
        assert row["difference"] == pytest.approx(decision.difference)


def test_json_of_what_is_not_there_is_null(tmp_path: Path) -> None:
    lost = [("no_local", seed) for seed in range(5)]
    found = record(summarized(replace(LOOKS, looked=(), pending=lost), tmp_path)[1])
    assert (found["look"], found["seeds"], found["decided"], found["headline"]) == (0, 0, 0, None)
    (row,) = [row for row in found["variants"] if row["name"] == "no_local"]
    nothing = dict.fromkeys(("mean", "std", "difference", "interval", "p"))
    assert row == {"name": "no_local", "n": 0, **nothing, "verdict": "undecided", "best": False, "tied": False}


def test_json_of_several_ablations_is_a_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LOOKS.write(tmp_path)
    branches(1, name="gating").write(tmp_path)
    by_loss = printed(capsys, tmp_path, "gating", "branches", "--metric", "test_loss")
    assert [(each["ablation"], each["look"], each["seeds"]) for each in by_loss] == [
        ("gating", None, 3),
        ("branches", None, 5),
    ]
    assert {(each["metric"], each["unit"], each["smallest_effect"]) for each in by_loss} == {("test_loss", None, 0.0)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return branches(1).write(tmp_path_factory.mktemp("root")).root


@pytest.mark.parametrize("out", ["taken", "taken/here", "half"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_computed(
    out: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half").mkdir()
    taken = tmp_path / ("half/tables" if out == "half" else "taken")
    taken.write_text("a file", "utf-8")
    with pytest.raises(SystemExit) as exit_:
        main(["--root", str(root), "--out", str(tmp_path / out)])
    assert exit_.value.code == 2
    line = f"terminator: out={tmp_path / out}: cannot be written: {taken} is no folder\n"
    assert capsys.readouterr() == ("", line)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gating"], "ablation=gating: no results in"),
        (["--sweep", "x"], "sweep=x: no such sweep"),
        (["branches", "--data", "mnist"], "dataset=mnist: branches has no results on it; there are: digits"),
        (["--baseline", "no_gated"], "baseline=no_gated: only with an MLflow store"),
        (["--mlflow", "sqlite:///mlflow.db", "--sweep", "x"], "sweep=x: only with a ledger"),
        (["--most", "-1"], "--most=-1: must be 0 (all variants) or more"),
        (["--metric", "speed"], "metric=speed: no run has logged it; choose from"),
        (["--extra", "speed"], "metric=speed: no run has logged it; choose from"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--root", str(root)])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("terminator: ")
    assert message in line
