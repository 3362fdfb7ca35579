from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from terminator.ledger import Ledger
from terminator.tracking import LiveSync
from tests.ledger.examples import finish_all, sweep

CHECKOUT = Path(__file__).parents[2]


def finished_runs(ledger: Ledger) -> int:
    with sqlite3.connect(ledger.root / "mlflow.db") as database:
        count = database.execute("select count(*) from runs where status = 'FINISHED'").fetchone()[0]
    database.close()
    return int(count)


def test_what_happens_until_the_end_is_brought_in(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    follower = LiveSync(ledger, [planned], None)
    finish_all(ledger, planned)
    report = follower.close()
    assert report.startswith("mlflow: ")
    assert "problem" not in report
    assert finished_runs(ledger) == 4


def test_the_last_sync_comes_also_after_kill_9(ledger: Ledger) -> None:
    planned = sweep(ledger, "branches")
    code = f"""
import pathlib, sys
from terminator.ledger import Ledger
from terminator.tracking import LiveSync
ledger = Ledger(pathlib.Path({str(ledger.root)!r}))
follower = LiveSync(ledger, ledger.sweeps(), None)
print("following", flush=True)
sys.stdin.read()
"""
    place = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=place, **pipes) as driver:
        assert driver.stdout.readline() == "following\n"
        finish_all(ledger, planned)
        driver.kill()
    deadline = time.monotonic() + 60
    while finished_runs(ledger) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert finished_runs(ledger) == 4


def test_nothing_but_the_sync_itself_imports_mlflow() -> None:
    code = "import sys, terminator.tracking, terminator.sweeps.__main__; print('mlflow' in sys.modules)"
    place = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert subprocess.check_output([sys.executable, "-c", code], env=place, text=True) == "False\n"
