from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from terminator.ledger import Ledger

if TYPE_CHECKING:
    from mlflow import MlflowClient


def client(ledger: Ledger) -> MlflowClient:
    """Of the ledger's database."""
    from mlflow import MlflowClient  # a second to import

    return MlflowClient(f"sqlite:///{ledger.root}/mlflow.db")


@pytest.fixture
def ledger(tmp_path: Path, database: Path) -> Ledger:
    root = tmp_path / "the root"
    root.mkdir()
    shutil.copy(database, root / "mlflow.db")
    return Ledger(root)
