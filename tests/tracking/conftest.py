from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from terminator.ledger import Ledger
from terminator.tracking.store import make_database


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database, which takes seconds to make: tests copy it."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    make_database(path, path.parent.as_uri())
    return path


@pytest.fixture
def ledger(tmp_path: Path, database: Path) -> Ledger:
    root = tmp_path / "the root"
    root.mkdir()
    shutil.copy(database, root / "mlflow.db")
    return Ledger(root)
