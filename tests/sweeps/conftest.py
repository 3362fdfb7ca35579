from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from terminator.ledger import Ledger
from terminator.sweeps.commands import main


class Answer(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


RIGHTS = "-dac_override,-dac_read_search,-fowner"  # what lets root write where its files' modes say no


@contextmanager
def without_rights(root: Path) -> Iterator[list[str]]:
    """Leave only the right to read the root. Yields the words that a command has to begin with for that to hold."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")
    modes = {path: path.stat().st_mode for path in (root, *root.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield ["setpriv", f"--bounding-set={RIGHTS}", f"--inh-caps={RIGHTS}"] if os.geteuid() == 0 else []
    for path, mode in modes.items():
        path.chmod(mode)


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
