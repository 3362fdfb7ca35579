from __future__ import annotations

from pathlib import Path

import pytest

from terminator.cluster.submit import PACKAGE, take_snapshot
from terminator.errors import UserError
from terminator.ledger import package_hash


def test_the_copy_computes_what_the_package_does(tmp_path: Path) -> None:
    code = package_hash(PACKAGE)
    copy = take_snapshot(tmp_path / "code", code)
    assert copy.name.startswith(f"{code}-")
    assert package_hash(copy / "terminator") == code
    assert (copy / "terminator" / "job.py").read_bytes() == (PACKAGE / "job.py").read_bytes()
    assert list(copy.rglob("__pycache__")) == []
    assert take_snapshot(tmp_path / "code", code) == copy
    assert [path.name for path in (tmp_path / "code").iterdir()] == [copy.name]


def test_other_code_needs_a_copy_that_was_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^code=0123: these runs were planned with other code \(now "):
        take_snapshot(tmp_path, "0123")
    kept = tmp_path / "0123-4567"
    kept.mkdir()
    assert take_snapshot(tmp_path, "0123") == kept
