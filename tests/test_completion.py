"""What TAB offers; a shell's script itself in tests/test_entry.py's way would cost seconds a word."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terminator.completion import SCRIPTS, words
from terminator.ledger import Ledger
from tests.ledger.examples import sweep


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("terminator re", ["report"]),
        ("terminator sweeps re", ["retry"]),
        ("terminator completion ", ["bash", "zsh"]),
        ("terminator data fetch cifar1", ["cifar10", "cifar100"]),
        ("terminator run --j", ["--json"]),
        ("terminator run -m ablation=gat", ["ablation=gating"]),
        ("terminator run --config-dir own -m ablation=mi", ["ablation=mine"]),
        ("terminator run trai", ["training."]),
        ("terminator run -m ablation=gating model.ga", ["model.gate="]),
        ("terminator run model.gate=", ["model.gate=rgu", "model.gate=glu", "model.gate=mixer"]),
        ("terminator run model.branches.local=t", ["model.branches.local=true"]),
        ("terminator run model.nope=", []),
        ("terminator run model=nope model.de", []),
    ],
)
def test_words_that_may_come_next(
    line: str, offered: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own" / "ablation").mkdir(parents=True)
    (tmp_path / "own" / "ablation" / "mine.yaml").write_text("variants: {}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [])
    assert words(line) == offered
    assert capfd.readouterr() == ("", "")


def test_sweeps_and_ablations_come_from_the_ledger(tmp_path: Path) -> None:
    planned = sweep(Ledger(tmp_path), "branches")
    assert words(f"terminator sweeps --root {tmp_path} status ") == [planned.id]
    assert words(f"terminator report --root {tmp_path} br") == ["branches"]


def test_bash_completes_the_word_at_the_cursor(tmp_path: Path) -> None:
    """With a `terminator` that answers as ours would."""
    (tmp_path / "terminator").write_text(
        '#!/bin/sh\n[ "$COMP_LINE" = "terminator run model.ga" ] && echo model.gate=\n'
    )
    (tmp_path / "terminator").chmod(0o755)
    ask = 'COMP_LINE="terminator run model.ga seed=1"; COMP_POINT=23; _terminator 2>&1; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", f"PATH={tmp_path}:$PATH\n{SCRIPTS['bash']}\n{ask}"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("model.gate=\n", "")
