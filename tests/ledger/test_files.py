from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from terminator.errors import UserError
from terminator.ledger import files
from tests.conftest import Nobody
from tests.ledger.processes import together


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write(path, "old")
    files.write(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


def test_write_keeps_the_old_text_when_the_rename_fails(tmp_path: Path) -> None:
    folder = tmp_path / "a.json"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        files.write(folder, "new")
    assert os.listdir(tmp_path) == ["a.json"]


def test_of_eight_processes_one_writes_once(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    prepare = "import os, pathlib; from terminator.ledger import files; pid = str(os.getpid())"
    printed = together(prepare, f"print(pid, files.write_once(pathlib.Path({str(path)!r}), pid))", 8)
    assert [pid for pid, won in map(str.split, printed) if won == "True"] == [path.read_text()]
    assert os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("text", ["", '{"schema": 1, "x"', "[1, 2]", '{"schema": 1}', "\x00\x00\x00"])
def test_a_damaged_file_is_named_and_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    path = tmp_path / "a.json"
    for number in (1, 2):
        path.write_text(text)
        assert files.read(path, lambda plain: plain["x"]) is None
        assert (tmp_path / f"a.json.corrupt-{number}").read_text() == text
    assert not path.exists()
    assert [record.getMessage().startswith(f"{path} is damaged") for record in caplog.records] == [True, True]


def test_a_missing_file_is_no_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert files.read(tmp_path / "a.json", dict) is None
    assert not caplog.records


def test_a_later_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"schema": 2}))
    with pytest.raises(UserError, match="schema=2: this version reads schema 1"):
        files.read(path, dict)
    assert path.exists()


@pytest.mark.parametrize(("folder", "lock"), [(0o700, 0o600), (0o755, 0o600), (0o2775, 0o660), (0o777, 0o666)])
def test_a_lock_is_for_those_who_may_write_in_its_folder(tmp_path: Path, folder: int, lock: int) -> None:
    tmp_path.chmod(folder)
    path = tmp_path / "lock"
    path.touch(0o644)  # as it was made once
    assert files.lock_file(path).stat().st_mode & 0o777 == lock


def test_a_reader_cannot_hold_a_lock_and_a_group_of_writers_can(nobody: Nobody) -> None:
    path = nobody.folder / "lock"
    path.touch(0o644)  # as it was made once
    files.lock_file(path)
    assert "Permission denied" in nobody.run("flock", "--nonblock", path, "true").stderr
    os.chown(nobody.folder, -1, nobody.ID)
    nobody.folder.chmod(0o775)
    files.lock_file(path)
    assert nobody.run("flock", "--nonblock", path, "true").returncode == 0
