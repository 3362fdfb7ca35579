from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from terminator.ledger import digest, package_hash

CODE = '''"""A docstring."""

def double(x):
    """Twice x."""
    return 2 * x  # the reason
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for folder in ("model", "data", "training", "ledger"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "code.py").write_text(CODE)
    return tmp_path


def test_a_digest_is_the_hash_of_canonical_json() -> None:
    canonical = b'{"code":"abc","config":{"a":{"y":2,"z":[1]},"b":null}}'
    expected = hashlib.sha256(canonical).hexdigest()[:16]
    assert digest({"config": {"b": None, "a": {"z": [1], "y": 2}}, "code": "abc"}) == expected


@pytest.mark.parametrize(
    "same",
    [
        "def double(x): return (2*x)",
        '"""Other words."""\ndef double(x):\n\n    return 2 * x',
    ],
)
def test_comments_formatting_and_docstrings_do_not_matter(package: Path, same: str) -> None:
    before = _hash(package)
    (package / "model" / "code.py").write_text(same)
    assert _hash(package) == before


@pytest.mark.parametrize("other", ["def double(x): return 2.0 * x", 'def double(x):\n    "a"\n    "b"\n    return 2*x'])
def test_code_matters(package: Path, other: str) -> None:
    before = _hash(package)
    (package / "training" / "code.py").write_text(other)
    assert _hash(package) != before


def test_only_code_that_computes_matters(package: Path) -> None:
    before = _hash(package)
    (package / "ledger" / "code.py").write_text("x = 1")
    assert _hash(package) == before


def test_where_code_stands_matters(package: Path) -> None:
    before = _hash(package)
    (package / "model" / "code.py").rename(package / "model" / "other.py")
    assert _hash(package) != before


def test_a_docstring_alone_is_as_good_as_pass(package: Path) -> None:
    path = package / "model" / "code.py"
    path.write_text('def f():\n    """Nothing."""')
    before = _hash(package)
    path.write_text("def f():\n    pass")
    assert _hash(package) == before


def _hash(package: Path) -> str:
    package_hash.cache_clear()
    return package_hash(package)
