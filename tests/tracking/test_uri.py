from __future__ import annotations

from pathlib import Path

import pytest

from terminator.errors import UserError
from terminator.tracking import checked_uri


@pytest.mark.parametrize("uri", [None, "http://127.0.0.1:5000", "postgresql+psycopg://host/db", "sqlite:////x/y.db"])
def test_a_tracking_uri_stays(uri: str | None) -> None:
    assert checked_uri(uri) == uri


def test_a_relative_sqlite_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_uri("sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"


@pytest.mark.parametrize("uri", ["mlruns", "file:///mlruns", "ftp://host", ""])
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match=rf"^tracking\.uri={uri}: must begin with http://"):
        checked_uri(uri)
