"""The commands where nothing can be written, as on a full disk, and what writers leave that were killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from terminator.ledger import Ledger, Reason, Run, RunState, files
from tests.ledger.examples import sweep
from tests.ledger.processes import python
from tests.slurm.sweeps import freeze, runs_of, tiny
from tests.sweeps.conftest import Answer, without_rights

# All commands in one process, as each would take seconds to start.
SCRIPT = """
import contextlib, io, json, sys, traceback
from terminator.__main__ import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["terminator", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def answers(root: Path, *commands: str, before: Sequence[str] = ()) -> list[Answer]:
    """What each command, such as `sweeps status`, says of the root. `before`: the words before Python's."""
    words = json.dumps([[*each.split(), "--root", str(root)] for each in commands])
    done = subprocess.run(
        [*before, sys.executable, "-c", SCRIPT, words], capture_output=True, text=True, check=True, timeout=240
    )
    return [Answer(*json.loads(line)) for line in done.stdout.splitlines()]


def planned(root: Path) -> Run:
    """The run of a sweep, whose process has ended without recording why."""
    ledger, sweep = freeze(root, [tiny()])
    (run,) = runs_of(ledger, sweep)
    run.begin()
    record = run.attempt_folder(1) / "attempt.json"
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "process_started": "long ago"}))
    return run


def content(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_a_reader_sees_everything_and_is_told_in_a_line_what_cannot_be_done(tmp_path: Path) -> None:
    root = tmp_path / "root"
    run = planned(root)
    reading = ("sweeps list", "sweeps status", "sweeps cancel", f"report --out {tmp_path}/report")
    writing = ("sweeps retry", "sweeps sync --uri sqlite:///" + str(root / "mlflow.db"), "report")
    with without_rights(root) as drop:
        before = content(root)
        said = answers(root, *reading, *writing, before=drop)
        assert content(root) == before
        (run.folder / "attempts").chmod(0)
        (hidden,) = answers(root, "sweeps status", before=drop)
    for answer in said[:4]:
        assert (answer.code, answer.err) == (0, "")
    assert "killed: the process ended without recording why" in said[1].out
    assert (tmp_path / "report" / "report.html").exists()
    retry, sync, report = said[4:]
    assert retry.code == report.code == 2
    assert retry.err.startswith(f"terminator: root={root}: not writable (")
    line = f"terminator: root={root}: cannot be written: no rights to write in {root}; --out names another folder\n"
    assert report.err == line
    assert [answer.err.count("\n") for answer in (retry, report)] == [1, 1]
    assert (sync.code, sync.out.count("\n")) == (1, 1)
    assert "Permission denied" in sync.out
    line = f"terminator: root={root}: not readable (runs/{run.key}/attempts: Permission denied)\n"
    assert hidden == Answer(2, "", line)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("no file systems can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_in_a_line(disk: Path, sweeps: Callable[..., Answer]) -> None:
    root = disk / "root"
    run = planned(root)
    with (disk / "others").open("wb", buffering=0) as others, contextlib.suppress(OSError):
        while others.write(bytes(4096)):
            pass
    commands = ("list", "status", "cancel", "retry", f"sync --uri sqlite:///{root}/mlflow.db")
    listed, status, cancel, retry, sync, report = answers(root, *(f"sweeps {each}" for each in commands), "report")
    line = f"terminator: root={root}: no space left (No space left on device)"
    assert (listed.code, listed.err, cancel.code, cancel.err) == (0, "", 0, "")
    assert (status.code, status.err) == (0, f"{line}; shown is what the ledger knows\n")
    assert "killed: the process ended without recording why" in status.out
    assert (retry.code, retry.err) == (report.code, report.err) == (2, f"{line}\n")
    assert (sync.code, sync.out.count("\n"), "No space left on device" in sync.out) == (1, 1, True)
    assert [path for path in disk.rglob(".*") if path.name != ".sync.lock"] == []
    assert run.attempts()[0].end is None
    (disk / "others").unlink()
    status = sweeps("status", "--root", str(root))
    assert (status.code, status.err) == (0, "")
    assert run.attempts()[0].end is not None
    assert Ledger(root).sweeps()


@pytest.mark.parametrize(
    "act",
    [
        "os.replace = killed; attempt.progress(epoch=1, epochs=2, step=0, steps_per_epoch=2)",
        "from terminator.training.checkpoint import save_checkpoint as save\n"
        "os.replace = killed; save(attempt.checkpoint_path, {})",
        "os.link = killed; attempt.finish({})",
        "os.rename = killed; run.begin()",
    ],
)
def test_what_a_killed_writer_left_is_removed(ledger: Ledger, sweeps: Callable[..., Answer], act: str) -> None:
    run = ledger.run(sweep(ledger, "branches").keys()[0])
    code = f"""
import os, pathlib, signal
from terminator.ledger import Run
def killed(*paths): os.kill(os.getpid(), signal.SIGKILL)
run = Run(pathlib.Path({str(run.folder)!r}))
attempt = run.begin()
{act}
"""
    with python(code) as process:
        assert process.wait() == -signal.SIGKILL
    (left,) = (path for path in run.folder.rglob(".*") if path.parent.name[0] != ".")
    mine = files.temporary_path(left.with_name("mine"))
    elsewhere = left.with_name(left.name.replace(f"~{process.pid}~", f"~{process.pid}~another boot~"))
    elsewhere = elsewhere.with_name(elsewhere.name.replace(socket.gethostname(), "elsewhere", 1))
    for path in (mine, elsewhere):
        path.touch()
    assert sweeps("status").code == 0
    assert sorted(run.folder.rglob(".*")) == sorted([mine, elsewhere])
    assert list(run.attempt_folder(1).parent.glob("[!.]*")) == [run.attempt_folder(1)]
    left.touch()
    run.begin()
    assert sorted(run.folder.rglob(".*")) == sorted([mine, elsewhere])


def test_what_an_ended_job_left_on_another_machine_is_removed(ledger: Ledger) -> None:
    """But not while its node is lost, and the process may write on."""
    run = ledger.run(sweep(ledger, "branches").keys()[0])
    attempt = run.begin()
    record = attempt.folder / "attempt.json"
    record.write_text(json.dumps({**json.loads(record.read_text("utf-8")), "host": "elsewhere"}))
    left = files.temporary_path(attempt.checkpoint_path)
    left = left.with_name(left.name.replace(socket.gethostname(), "elsewhere", 1))
    left.touch()
    for alive in (True, None):
        run.remove_left_behind(lambda attempt, alive=alive: alive)  # type: ignore[misc]
    run.close(1, RunState.failed, Reason.node_lost, "")
    run.remove_left_behind(lambda attempt: False)
    assert left.exists()
    run.begin()
    run.remove_left_behind(lambda attempt: attempt.number == 2)
    assert not left.exists()
