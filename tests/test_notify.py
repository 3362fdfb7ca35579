"""The message at the end of a sweep, to a web server on this machine, and files that send none."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from terminator.analysis.message import message, tell
from terminator.errors import UserError
from terminator.ledger import Ledger, Reason
from terminator.looks import main
from terminator.notify import checked_file
from tests.analysis.ledgers import LOOKS, branches

pytest.importorskip("apprise")


class Server(ThreadingHTTPServer):
    """Takes what is posted; refuses it below /away."""

    def __init__(self) -> None:
        self.taken: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(500 if self.path.startswith("/away") else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_message_says_what_came_out_and_what_failed(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed = {("no_gated", 1): (Reason.out_of_memory, "8 GB were not enough")}
    ledger = branches(1, seeds=(0, 1), epochs=2, failed=failed).write(tmp_path)
    [sweep] = ledger.sweeps()
    assert tell(ledger, sweep) is None  # nobody asked for one
    file, address = tmp_path / "services", f"json://127.0.0.1:{server.server_port}"
    file.write_text(f"# mine\n{address}/hook?format=text\n")
    sweep = ledger.write_sweep(replace(sweep, notify=checked_file(str(file))))
    assert tell(ledger, ledger.sweep(sweep.id)) is None
    [sent] = server.taken
    assert sent["title"] == f"{sweep.id}: 3 of 4 runs done"
    assert sent["message"].splitlines() == [
        "branches: 1 of 1 part undecided after 1 seed",
        "no_gated/1: failed: out_of_memory: 8 GB were not enough",
        f"Runs: {tmp_path}",
    ]
    assert tell(ledger, replace(sweep, until=1.0), interrupted=True) is None
    assert server.taken[1]["title"] == f"{sweep.id}: interrupted, 3 of 4 runs done"
    assert tell(ledger, replace(sweep, until=1.0)) is None
    assert server.taken[2]["title"] == f"{sweep.id}: sweep.budget_min is spent, 3 of 4 runs done"
    row = sweep.ablations[0].variants[0]
    grown = replace(row, runs={**row.runs, 2: "a" * 16, 3: "b" * 16})
    further = replace(sweep.ablations[0], variants=[grown, *sweep.ablations[0].variants[1:]])
    lines = message(ledger, sweep.with_ablation(further))[1].splitlines()
    assert lines[1:3] == ["no_gated/1: failed: out_of_memory: 8 GB were not enough", "2 runs not started yet"]
    file.write_text(f"{address}/away/secret\n")
    assert tell(ledger, sweep) == f"sweep.notify={file}: no message to JSON, which did not take it"
    assert not caplog.messages
    file.unlink()
    assert str(tell(ledger, sweep)).startswith(f"sweep.notify={file}: cannot be read (No such file or directory)")
    assert "secret" not in (Ledger(tmp_path).sweep_folder(sweep) / "sweep.json").read_text()


def test_a_look_that_cannot_go_on_says_why(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster nobody sees what its job prints."""
    ledger = LOOKS.write(tmp_path)
    (services := tmp_path / "services").write_text(f"json://127.0.0.1:{server.server_port}/hook?format=text\n")
    [sweep] = ledger.sweeps()
    sweep = ledger.write_sweep(replace(sweep, notify=checked_file(str(services))))
    monkeypatch.setattr(sys, "argv", ["looks", str(ledger.sweep_folder(sweep) / "slurm" / "0001")])
    with pytest.raises(UserError, match="its runs were frozen with other code") as refused:
        main()
    [sent] = server.taken
    assert sent["title"] == f"{sweep.id}: stopped, 15 of 15 runs done"
    assert sent["message"].splitlines()[0] == str(refused.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Apprise finds no service in it"),
        (b"json://127.0.0.1/secret\nsecret://there\n", "Apprise finds lines that it does not understand in it"),
        (b"\xff\xfe\x00", r"cannot be read \(it is no text in UTF-8\)"),
        (None, r"cannot be read \(Is a directory\)"),
    ],
)
def test_a_file_that_sends_no_message_is_refused(
    tmp_path: Path, content: bytes | None, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path if content is None else tmp_path / "services"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=rf"^sweep\.notify={file}: {why}") as refused:
        checked_file(str(file))
    assert "secret" not in str(refused.value) + caplog.text


def test_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError, match=r"^sweep\.notify: must be a file, ") as refused:
        checked_file("slack://secret")
    assert "secret" not in str(refused.value)


def test_without_the_library_nothing_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(UserError, match=r"needs Apprise: pip install 'terminator-ablations\[notify\]'$"):
        checked_file(str(tmp_path / "services"))
