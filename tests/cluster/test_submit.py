from __future__ import annotations

from pathlib import Path

import pytest

from terminator.cluster import submit
from terminator.cluster.submit import PACKAGE, take_snapshot
from terminator.errors import UserError
from terminator.ledger import Code, Ledger, Provenance, package_hash
from tests.conftest import Nobody


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


def test_a_users_own_modules_are_copied_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    (mine / "nets").mkdir(parents=True)
    for name in ("nets/__init__.py", "nets/wide.py"):
        (mine / name).write_text(f"NAME = {name!r}\n")
    files = {"nets": mine / "nets" / "__init__.py", "nets.wide": mine / "nets" / "wide.py"}
    monkeypatch.setattr(submit, "source_files", lambda config: {"terminator.job": PACKAGE / "job.py", **files})
    monkeypatch.setattr(submit, "from_plain", dict)
    monkeypatch.setattr(submit, "code_hash", lambda config: _hash(files["nets.wide"]))
    ledger, code = Ledger(tmp_path), package_hash(PACKAGE)
    run = ledger.freeze("k", {}, Provenance(Code(_hash(files["nets.wide"]), None, False), "", {}))
    copy = take_snapshot(tmp_path / "code", code, [run])
    assert take_snapshot(tmp_path / "code", code, [run]) == copy
    files["nets.wide"].write_text("NAME = 'edited'\n")
    assert take_snapshot(tmp_path / "code", code, [run]) == copy
    assert (copy / "nets" / "wide.py").read_text() == "NAME = 'nets/wide.py'\n"
    assert (copy / "nets" / "__init__.py").exists()
    with pytest.raises(UserError, match=r"planned with other code \(run code .* has changed\)"):
        take_snapshot(tmp_path / "none", code, [run])


def _hash(path: Path) -> str:
    return path.read_text().strip()


def test_one_process_submits_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "LOCK_PATIENCE", 0.3)
    message = r"slurm-lock: another process has been submitting for "
    with submit.submission_lock(tmp_path), pytest.raises(UserError, match=message), submit.submission_lock(tmp_path):
        raise AssertionError
    with submit.submission_lock(tmp_path):
        pass


def test_a_reader_cannot_hold_up_submissions(nobody: Nobody) -> None:
    with submit.submission_lock(nobody.folder):
        pass
    assert nobody.run("flock", nobody.folder / "sweeps" / ".slurm-lock", "true").returncode != 0
