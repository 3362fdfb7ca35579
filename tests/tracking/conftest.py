from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from terminator.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path, database: Path) -> Ledger:
    root = tmp_path / "the root"
    root.mkdir()
    shutil.copy(database, root / "mlflow.db")
    return Ledger(root)
