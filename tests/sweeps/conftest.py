from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from terminator.ledger import Ledger
from terminator.sweeps.__main__ import main


class Answer(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture
def sweeps(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """`python -m terminator.sweeps WORDS`, in this process, on the test's ledger."""

    def call(*words: str) -> Answer:
        monkeypatch.setenv("TERMINATOR_ROOT", str(ledger.root))
        monkeypatch.setattr(sys, "argv", ["terminator sweeps", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Answer(int(ended.value.code or 0), *capfd.readouterr())

    return call
