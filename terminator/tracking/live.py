"""Tracking beside a local sweep, in a process of its own: what trains never imports mlflow and never waits for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from typing import IO

from terminator.ledger import Ledger, Sweep
from terminator.ledger.provenance import PACKAGE
from terminator.tracking.sync import SyncReport, sync
from terminator.tracking.uri import is_server

SECONDS_BETWEEN = 10.0
LARGEST_SHARE = 0.1  # of its time that a follower spends syncing
SECONDS_TO_CLOSE = 60.0


def follow(
    ledger: Ledger, sweeps: Sequence[Sweep] | None, uri: str | None, until: IO[str], *, runs: Collection[str] = ()
) -> SyncReport:
    """Sync again and again until `until` (standard input, say) is at its end, then once more: that one's report."""
    os.nice(10)  # training comes first
    for number in (signal.SIGTERM, signal.SIGUSR2):  # SLURM sends them to every process of a job; the end comes first
        signal.signal(number, signal.SIG_IGN)
    while True:
        began = time.monotonic()
        sync(ledger, sweeps, uri, runs=runs)
        pause = max(SECONDS_BETWEEN, (time.monotonic() - began) / LARGEST_SHARE)
        readable, _, _ = select.select([until], [], [], pause)
        if readable and not until.readline():
            return sync(ledger, sweeps, uri, runs=runs)


class LiveSync:
    """A child process that follows sweeps until `close`, or until this process ends, however that happens."""

    def __init__(
        self, ledger: Ledger, sweeps: Sequence[Sweep], uri: str | None = None, *, runs: Collection[str] = ()
    ) -> None:
        command = [sys.executable, "-m", "terminator.sweeps", "sync", *(sweep.id for sweep in sweeps), "--follow"]
        options = ["--root", str(ledger.root), *(["--uri", uri] if uri else []), *(f"--run={key}" for key in runs)]
        path = filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,  # its end tells the child that this process is done, or gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is not for the child: the last sync is still to come
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )

    @property
    def pid(self) -> int:
        """The child's process, and process group."""
        return self._process.pid

    def close(self, timeout: float = SECONDS_TO_CLOSE) -> str:
        """Ask for the last sync and wait for it: its report, in a line. It goes on alone if it takes longer."""
        try:
            output, _ = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return "mlflow: still being brought up to date"
        return output.strip().splitlines()[-1] if output.strip() else "mlflow: the sync ended without a report"


def sync_beside_job(ledger: Ledger, sweep: str, runs: Collection[str]) -> LiveSync | None:
    """A follower of a cluster job's runs, if the sweep's MLflow is a server. A file is left to whoever watches."""
    mine = [
        each for each in ledger.sweeps() if each.id == sweep and each.tracked and is_server(each.tracking_uri or "")
    ]
    return LiveSync(ledger, mine, runs=runs) if mine else None
