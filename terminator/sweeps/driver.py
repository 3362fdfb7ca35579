"""Who carries a local sweep out: the processes that keep its runs going, for other shells to find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from terminator.ledger import Ledger, Sweep, files
from terminator.ledger.process import is_alive, this_process


class Driver(NamedTuple):
    """A file in `drivers/`, beside sweep.json."""

    host: str
    pid: int
    process_started: str

    def alive(self) -> bool | None:
        """None if it is on another machine, where it can't be seen from here."""
        return is_alive(*self)


def drivers(ledger: Ledger, sweep: Sweep) -> list[Driver]:
    """The processes that carry the sweep out, but for those known to have ended."""
    paths = sorted(_folder(ledger, sweep).glob("*.json"))
    found = (files.read(path, lambda plain: Driver(**plain)) for path in paths)
    return [driver for driver in found if driver is not None and driver.alive() is not False]


@contextmanager
def driving(ledger: Ledger, sweeps: Sequence[Sweep]) -> Iterator[None]:
    """Inside the block, this process counts as one that carries the sweeps out."""
    driver = Driver(*this_process())
    paths = [_folder(ledger, sweep) / f"{driver.host}-{driver.pid}.json" for sweep in sweeps]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, files.dumps(driver._asdict()))
    try:
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _folder(ledger: Ledger, sweep: Sweep) -> Path:
    return ledger.sweep_folder(sweep) / "drivers"
