"""Temporary folders in memory; another user of the machine, for tests of what others may do; a ledger."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.version import VersionBase
from packaging.version import Version

from terminator.ledger import Ledger

MEMORY = Path("/dev/shm")
ROOM = 2 * 2**30


def pytest_configure() -> None:
    """Put temporary folders into memory where there is room: what a ledger writes it waits for until it is on a disk.

    Not where programs cannot be started from there, as in many containers.
    """
    if MEMORY.is_dir():
        system = os.statvfs(MEMORY)
        if system.f_bavail * system.f_frsize > ROOM and not system.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


class Nobody:
    """The user `nobody`, in no group but his own."""

    ID = 65534  # of the user and of the group

    def __init__(self, folder: Path) -> None:
        """`folder`: one that others can read, with a way to it; pytest's own are closed to them."""
        self.folder = folder

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """The command as this user, in the folder."""
        words = [str(word) for word in command]
        return subprocess.run(
            words, user=self.ID, group=self.ID, extra_groups=[], cwd=self.folder, capture_output=True, text=True
        )


@pytest.fixture
def nobody() -> Iterator[Nobody]:
    """Skips where the tests are not run by root, who alone can act as another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Nobody(Path(folder))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database, which takes seconds to make: tests copy it."""
    from terminator.tracking.store import make_database

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    make_database(path, path.parent.as_uri())
    return path


@pytest.fixture
def quick_pdfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that draw each letter: to embed a font as in those of a paper takes longer than to draw them."""
    from terminator.analysis.figures.style import RULES

    monkeypatch.setitem(RULES, "pdf.fonttype", 3)


@pytest.fixture
def oldest_hydra_base() -> Iterator[None]:
    """The version base of applications that name none, whatever another test has set in this process."""
    base = VersionBase.instance()
    before = base.version_base
    base.setbase(Version("1.1"))
    yield
    base.version_base = before
