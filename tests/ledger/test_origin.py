from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from terminator.ledger import package_hash, provenance


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "terminator"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "code.py").write_text("x = 1\n")
    package_hash.cache_clear()
    return package


@pytest.fixture
def commit(package: Path) -> str:
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-q", "-m", "first")
    return git(package.parent, "rev-parse", "HEAD").strip()


def test_a_clean_checkout(package: Path, commit: str) -> None:
    origin = provenance(package)
    assert (origin.code.commit, origin.code.dirty, origin.diff) == (commit, False, "")


def test_changes_and_new_code_are_in_the_diff(package: Path, commit: str) -> None:
    (package / "model" / "code.py").write_text("x = 2\n")
    (package / "model" / "new.py").write_text("y = 3\n")
    origin = provenance(package)
    assert (origin.code.commit, origin.code.dirty) == (commit, True)
    assert "-x = 1\n+x = 2\n" in origin.diff
    assert "+y = 3\n" in origin.diff


def test_the_diff_can_be_applied(package: Path, commit: str, tmp_path: Path) -> None:
    (package / "model" / "code.py").write_text("x = 2\n")
    (package / "model" / "new.py").write_text("y = 3\n")
    patch = tmp_path / "diff.patch"
    patch.write_text(provenance(package).diff)
    git(tmp_path, "clone", "-q", str(package.parent), "again")
    git(tmp_path / "again", "apply", str(patch))
    assert (tmp_path / "again" / "terminator" / "model" / "new.py").read_text() == "y = 3\n"


def test_a_copy_inside_somebody_elses_repository_has_no_commit(package: Path, commit: str) -> None:
    installed = package.parent / "venv" / "terminator"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert provenance(installed).code.commit is None


def test_a_copy_outside_any_repository_has_no_commit(package: Path) -> None:
    origin = provenance(package)
    assert (origin.code.commit, origin.code.dirty, origin.diff) == (None, False, "")


def test_the_environment_names_the_software(package: Path) -> None:
    environment = provenance(package).environment
    assert environment["torch"] == environment["packages"]["torch"]
    assert set(environment) == {"python", "torch", "platform", "cpu", "packages"}
