"""Which stores there are, what is read from them, and the making of a database."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger, Reason, RunState, Status
from terminator.tracking import checked_uri, default_uri, sync
from terminator.tracking.store import StoredRun, ablation_fields, ablation_tags, read_runs, state_of, status_of
from tests.ledger.examples import finish, sweep
from tests.ledger.processes import together
from tests.tracking.conftest import client


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "http://127.0.0.1:5000",
        "https://host/a@b",
        "postgresql+psycopg://me@host:5432/db",
        "mysql://host/db?read_default_file=~/.my.cnf",
        "sqlite:////x/y:z@here.db",
    ],
)
def test_a_tracking_uri_stays(uri: str | None) -> None:
    assert checked_uri(uri) == uri


def test_a_relative_sqlite_file_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checked_uri("sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"


@pytest.mark.parametrize("uri", ["mlruns", "file:///mlruns", "ftp://host", ""])
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match=rf"^tracking\.uri={uri}: must begin with http://"):
        checked_uri(uri)


@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("http://me:secret@127.0.0.1:5000", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "),
        ("https://secret@host/", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "),
        ("postgresql+psycopg://me:secret@host/db", "set PGPASSWORD, or "),
        ("postgresql://me:se/secret@host/db", "set PGPASSWORD, or "),
        ("postgresql://host/db?user=me&password=secret", "set PGPASSWORD, or "),
        ("mysql+pymysql://me:secret@host/db", "keep it in an option file and end the URI in "),
        ("ftp://me:secret@host", "set MLFLOW_TRACKING_USERNAME"),
    ],
)
def test_a_password_is_refused_and_not_repeated(uri: str, instead: str) -> None:
    with pytest.raises(UserError, match=r"^tracking\.uri: must not hold a password, ") as refused:
        checked_uri(uri)
    assert f"; {instead}" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        (RunState.running, None, "RUNNING"),
        (RunState.done, None, "FINISHED"),
        (RunState.failed, Reason.exception, "FAILED"),
        (RunState.failed, Reason.timeout, "FAILED"),
        (RunState.failed, Reason.killed, "KILLED"),
        (RunState.failed, Reason.cancelled, "KILLED"),
        (RunState.interrupted, Reason.interrupted, "KILLED"),
        (RunState.preempted, Reason.preempted, "SCHEDULED"),
    ],
)
def test_a_state_is_a_status_of_mlflow(state: RunState, reason: Reason | None, status: str) -> None:
    assert status_of(Status(state, reason)) == status


def test_a_status_is_the_first_state_that_has_it() -> None:
    statuses = ("SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED", "PAUSED")
    assert [*map(state_of, statuses)] == ["pending", "running", "done", "failed", "interrupted", "paused"]


def test_what_an_ablation_asks_comes_back_from_tags() -> None:
    ablation = Ablation("branches", "Why?", "1", "test_loss", False, 0.02, [0], [])
    tags = ablation_tags(ablation)
    assert tags == {"baseline": "1", "metric": "test_loss", "higher_is_better": "false", "smallest_effect": "0.02"}
    fields = {"baseline": "1", "metric": "test_loss", "higher_is_better": False, "smallest_effect": 0.02}
    assert ablation_fields({**tags, "variant": "full"}) == fields
    assert ablation_fields({"metric": "test_loss"}) == {"metric": "test_loss"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # mlflow's database layer warns of its own calls
@pytest.mark.parametrize("options", [{}, {"details": False}, {"deleted": True}, {"experiments": ["gating"]}])
def test_sql_and_client_read_the_same(ledger: Ledger, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    planned = sweep(ledger, "branches", "gating")
    finish(ledger.run(planned.keys()[0]))
    finish(ledger.run(planned.keys()[1]))
    sync(ledger, None)
    uri = default_uri(ledger.root)
    run_id = attrgetter("run_id")
    deleted = read_runs(uri, ["gating"])[0].run_id
    client(ledger).delete_run(deleted)

    def read() -> list[StoredRun]:
        return sorted((run for run in read_runs(uri, **options) if not run.is_sweep), key=run_id)  # they began at once

    by_sql = read()
    monkeypatch.setattr("terminator.tracking.store.sqlite_path", lambda _: None)
    by_client = read()
    count = 1 if "experiments" in options else 4 if "deleted" in options else 3
    assert len(by_sql) == count
    assert [run.deleted for run in by_sql].count(True) == ("deleted" in options)
    for ours, theirs in zip(by_sql, by_client, strict=True):
        assert replace(ours, tags={}) == replace(theirs, tags={})
        assert theirs.tags.items() <= ours.tags.items()
        assert bool(ours.curves) == bool(ours.parameters) == options.get("details", True)


def test_processes_at_once_make_one_whole_database(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    # One process imports mlflow and forks: several imports would take longer than what is tested.
    prepare = """
import os
from pathlib import Path
from terminator.tracking.store import Store, _mlflow, make_database, read_runs
_mlflow("mlflow.store.tracking.sqlalchemy_store")
"""
    act = f"""
ready, go = os.pipe()
children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        os.close(go)
        os.read(ready, 1)
        make_database(Path({str(path)!r}), {tmp_path.as_uri()!r})
        Store(Path({str(tmp_path)!r}), {default_uri(tmp_path)!r})
        assert not read_runs({default_uri(tmp_path)!r}, ["branches"])
        os._exit(0)
    children.append(pid)
os.close(go)
print([os.waitpid(child, 0)[1] for child in children])
"""
    assert together(prepare, act, 1) == [str([0] * 2)]
    assert [name for name in os.listdir(tmp_path) if "mlflow" in name] == ["mlflow.db"]
    with sqlite3.connect(path) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from alembic_version").fetchone() == (1,)
    database.close()
