from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time

from terminator.ledger import Ledger
from terminator.tracking import LiveSync, sync_beside_job
from tests.ledger.examples import finish, finish_all, sweep
from tests.ledger.processes import python


def finished_runs(ledger: Ledger) -> int:
    with sqlite3.connect(ledger.root / "mlflow.db") as database:
        of_runs = "select count(*) from runs where status = 'FINISHED' and name like '%/%'"
        count = database.execute(of_runs).fetchone()[0]
    database.close()
    return int(count)


def wait_for(ledger: Ledger, runs: int) -> None:
    deadline = time.monotonic() + 60
    while finished_runs(ledger) < runs and time.monotonic() < deadline:
        time.sleep(0.1)
    assert finished_runs(ledger) == runs


def test_what_happens_until_the_end_is_brought_in(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    first, *others = map(ledger.run, planned.keys())
    finish(first)
    follower = LiveSync(ledger, [planned])
    wait_for(ledger, 1)
    os.killpg(follower.pid, signal.SIGTERM)  # SLURM tells every process of a job that it ends
    for run in others:
        finish(run)
    assert follower.close().startswith("mlflow: 4 runs up to date")
    assert finished_runs(ledger) == 4


def test_the_last_sync_comes_also_after_kill_9(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    code = f"""
import pathlib, sys
from terminator.ledger import Ledger
from terminator.tracking import LiveSync, sync_beside_job
ledger = Ledger(pathlib.Path({str(ledger.root)!r}))
follower = LiveSync(ledger, ledger.sweeps(), None)
print("following", flush=True)
sys.stdin.read()
"""
    with python(code) as driver:
        assert driver.stdout.readline() == "following\n"
        finish_all(ledger, planned)
        driver.kill()
    wait_for(ledger, 4)


def test_beside_a_job_only_what_goes_to_a_server_is_followed(ledger: Ledger) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
        on_server = sweep(ledger, "branches", uri=uri)
        keys = on_server.keys()[:1]
        finish(ledger.run(keys[0]))
        follower = sync_beside_job(ledger, on_server.id, keys)
        assert follower.close().startswith(f"mlflow: {uri}: ")
    assert sync_beside_job(ledger, sweep(ledger, "gating").id, keys) is None
    assert sync_beside_job(ledger, sweep(ledger, "kernels", uri=uri, tracked=False).id, keys) is None


def test_whoever_comes_back_to_a_sweep_imports_neither_mlflow_nor_pytorch() -> None:
    modules = "terminator.tracking, terminator.sweeps.commands, terminator.sweeps.local, terminator.cluster.scheduler"
    with python(f"import sys, {modules}; print({{'mlflow', 'torch'}} & sys.modules.keys())") as process:
        assert process.communicate() == ("set()\n", None)
