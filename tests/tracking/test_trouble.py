"""MLflow locked, damaged, slow or not there: one line, nothing lost."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from terminator.tracking.uri import default_uri

from terminator.ledger import Ledger
from terminator.tracking import SyncReport, sync
from tests.ledger.examples import finish_all, sweep
from tests.ledger.processes import together


@pytest.fixture
def finished(ledger: Ledger) -> Ledger:
    finish_all(ledger, sweep(ledger, "branches"))
    return ledger


def test_a_server_that_is_not_there_costs_no_time_and_loses_nothing(finished: Ledger) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"  # bound, not listening: it refuses
        began = time.monotonic()
        report = sync(finished, None, uri)
    assert time.monotonic() - began < 30
    assert report.runs == 0
    assert report.problem.startswith(f"{uri}: ")
    assert report.problem.endswith("Connection refused")
    assert sync(finished, None).runs == 4


def test_a_server_that_does_not_answer_is_given_up(finished: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        report = sync(finished, None, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - began < 30
    assert "timed out" in report.problem


def test_a_locked_database_is_waited_for(finished: Ledger) -> None:
    writer = sqlite3.connect(finished.root / "mlflow.db", check_same_thread=False, isolation_level=None)
    writer.execute("begin exclusive")
    release = threading.Timer(0.5, lambda: (writer.execute("commit"), writer.close()))
    release.start()
    report = sync(finished, None)
    release.join()
    assert report.runs == 4
    assert report.problem is None


def test_a_damaged_database_is_a_line(finished: Ledger) -> None:
    path = finished.root / "mlflow.db"
    whole = path.read_bytes()
    path.write_bytes(b"no database" * 1000)
    report = sync(finished, None)
    assert report.problem == f"sqlite:///{path}: file is not a database"
    path.write_bytes(whole)
    assert sync(finished, None).runs == 4


def test_one_syncer_at_a_time(finished: Ledger) -> None:
    holder = os.open(finished.root / ".sync.lock", os.O_CREAT | os.O_WRONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    report = sync(finished, None, patience=0.2)
    assert report.runs == 0
    assert "another process is syncing" in report.problem
    os.close(holder)  # as when that process dies, however it does
    assert sync(finished, None) == SyncReport(runs=4, points=40)


def test_eight_processes_at_once_make_one_whole_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    prepare = "from pathlib import Path; from terminator.tracking.store import Store, make_database; import os"
    # One process imports mlflow and forks: eight imports would take longer than what is tested.
    act = f"""
ready, go = os.pipe()
children = []
for _ in range(8):
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(ready, 1)
        make_database(Path({str(path)!r}), {tmp_path.as_uri()!r})
        assert not Store(Path({str(tmp_path)!r}), {default_uri(tmp_path)!r}).known(["branches"])
        os._exit(0)
    children.append(pid)
os.close(go)
print([os.waitpid(child, 0)[1] for child in children])
"""
    assert together(prepare, act, 1) == [str([0] * 8)]
    assert [name for name in os.listdir(tmp_path) if "mlflow" in name] == ["mlflow.db"]
    with sqlite3.connect(path) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
    database.close()
