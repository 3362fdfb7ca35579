from __future__ import annotations

from pathlib import Path

import pytest

from terminator.ledger import Code, Ledger, Provenance, Run

PROVENANCE = Provenance(Code(hash="c0de", commit="1f", dirty=False), diff="", environment={"python": "3.11"})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "root")


@pytest.fixture
def run(ledger: Ledger) -> Run:
    return ledger.freeze("0123456789abcdef", {"seed": 0, "threads": 2}, PROVENANCE)
