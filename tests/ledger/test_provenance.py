"""Hashes of code, the state of a checkout, and processes that live or not."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from terminator.ledger import digest, package_hash, provenance
from terminator.ledger.provenance import hostname, is_alive, process_started, this_process

CODE = '''"""A docstring."""

def double(x):
    """Twice x."""
    return 2 * x  # the reason
'''


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for folder in ("model", "data", "training", "ledger"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "code.py").write_text(CODE)
    return tmp_path


def test_a_digest_is_the_hash_of_canonical_json() -> None:
    canonical = b'{"code":"abc","config":{"a":{"y":2,"z":[1]},"b":null}}'
    expected = hashlib.sha256(canonical).hexdigest()[:16]
    assert digest({"config": {"b": None, "a": {"z": [1], "y": 2}}, "code": "abc"}) == expected


@pytest.mark.parametrize(
    ("path", "code", "same"),
    [
        ("model/code.py", "def double(x): return (2*x)", True),
        ("model/code.py", '"""Other words."""\ndef double(x):\n\n    return 2 * x', True),
        ("training/code.py", "def double(x): return 2.0 * x", False),
        ("training/code.py", 'def double(x):\n    "a"\n    "b"\n    return 2*x', False),
        ("ledger/code.py", "x = 1", True),  # computes nothing
    ],
)
def test_code_that_computes_matters_without_comments_formatting_and_docstrings(
    sources: Path, path: str, code: str, same: bool
) -> None:
    before = _hash(sources)
    (sources / path).write_text(code)
    assert (_hash(sources) == before) is same


def test_where_code_stands_matters(sources: Path) -> None:
    before = _hash(sources)
    (sources / "model" / "code.py").rename(sources / "model" / "other.py")
    assert _hash(sources) != before


def test_a_docstring_alone_is_as_good_as_pass(sources: Path) -> None:
    path = sources / "model" / "code.py"
    path.write_text('def f():\n    """Nothing."""')
    before = _hash(sources)
    path.write_text("def f():\n    pass")
    assert _hash(sources) == before


def _hash(package: Path) -> str:
    package_hash.cache_clear()
    return package_hash(package)


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


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


def test_changes_and_new_code_are_in_the_diff_which_can_be_applied(package: Path, commit: str, tmp_path: Path) -> None:
    (package / "model" / "code.py").write_text("x = 2\n")
    (package / "model" / "new.py").write_text("y = 3\n")
    origin = provenance(package)
    assert (origin.code.commit, origin.code.dirty) == (commit, True)
    assert "-x = 1\n+x = 2\n" in origin.diff
    assert "+y = 3\n" in origin.diff
    patch = tmp_path / "diff.patch"
    patch.write_text(origin.diff)
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


def test_a_process_is_told_by_its_machine_id_and_start() -> None:
    host, pid, started = this_process()
    boot, namespace, ticks = started.split("/")
    assert (host, pid) == (hostname(), os.getpid())
    assert is_alive(host, pid, started) is True
    assert is_alive(host, pid, f"{started}0") is False  # another process of the same id
    assert is_alive("elsewhere.example.org", 1, "then") is None
    assert is_alive(host, pid, f"{boot}/pid:[1]/{ticks}") is None  # in another container
    assert is_alive(host, pid, f"an earlier boot/{namespace}/{ticks}") is False
    assert is_alive(None, None, None) is False


def test_a_killed_process_does_not_live_even_while_its_parent_has_not_asked() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        started = process_started(child.pid)
        assert is_alive(hostname(), child.pid, started) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, not yet reaped: a zombie
        assert is_alive(hostname(), child.pid, started) is False
    assert process_started(child.pid) is None
