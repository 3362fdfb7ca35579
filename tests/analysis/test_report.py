from __future__ import annotations

from pathlib import Path

import pytest

from terminator.analysis.report import main, write_report
from tests.analysis.ledgers import branches


def test_report_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    branches(2).write(tmp_path)
    main(["branches", "--root", str(tmp_path), "--extra", "test_loss", "images_per_second"])
    out = capsys.readouterr().out
    assert "no_gated" in out
    assert "Images/s" in out
    folder = tmp_path / "reports" / "branches"
    assert out.splitlines()[-1] == f"Report: {folder / 'report.html'}"
    assert (folder / "figures" / "branches-differences.pdf").exists()
    assert {path.suffix for path in (folder / "tables").iterdir()} == {".md", ".tex", ".csv", ".html"}


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    branches(1).write(tmp_path)
    (tmp_path / "taken").write_text("a file", "utf-8")
    with pytest.raises(SystemExit) as exit_:
        main(["--root", str(tmp_path), "--out", str(tmp_path / "taken" / "here")])
    assert exit_.value.code == 2
    assert "here/tables: cannot be written (Not a directory)" in capsys.readouterr().err


def test_damaged_features_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = branches(1).write(tmp_path)
    (next(ledger.runs()).folder / "features.npz").write_bytes(b"half a file")
    page = write_report(tmp_path, "branches")
    assert page.exists()
    assert "python -m terminator.inspect" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gating"], "ablation=gating: no results in"),
        (["--sweep", "x"], "sweep=x: no such sweep"),
        (["branches", "--data", "mnist"], "dataset=mnist: branches has no results on it; there are: digits"),
        (["--baseline", "no_gated"], "baseline=no_gated: only with an MLflow store"),
        (["--mlflow", "sqlite:///mlflow.db", "--sweep", "x"], "sweep=x: only with a ledger"),
        (["--metric", "speed"], "metric=speed: no run has logged it; choose from"),
        (["--extra", "speed"], "metric=speed: no run has logged it; choose from"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    branches(1).write(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--root", str(tmp_path)])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("terminator: ")
    assert message in line
