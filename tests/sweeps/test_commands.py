from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from terminator.ledger import Ledger, Reason
from tests.ledger.examples import finish, finish_all, sweep, train


def _cells(line: str) -> list[str]:
    return re.split(r"\s*│\s*", line)


def test_list_counts_every_sweeps_states(ledger: Ledger, sweeps: Callable) -> None:
    new, old = sweep(ledger, "branches", created=2.0), sweep(ledger, "gating", code="other", created=1.0)
    finish_all(ledger, new)
    finish(ledger.run(old.keys()[0]))
    lines = [line for line in sweeps("list").out.splitlines() if "│" in line]
    assert [line.split("│")[1].strip() for line in lines] == [new.id, old.id]
    assert [line.split("│")[6].strip() for line in lines] == ["4 done", "3 pending, 1 done"]


def test_list_tells_sweeps_of_one_ablation_apart(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    settings = ("model=release", "training.epochs=2", "seed=3,4")
    ledger.write_sweep(replace(planned, id="branches-other", settings=settings))
    cells = {row[1]: row[2:4] for line in sweeps("list").out.splitlines() if len(row := _cells(line)) > 5}
    assert cells[planned.id] == ["digits", ""]
    assert cells["branches-other"] == ["digits", "model=release training.epochs=2 seed=3,4"]


def test_list_shows_when_a_sweep_began_and_puts_the_last_called_first(ledger: Ledger, sweeps: Callable) -> None:
    began = datetime(2024, 5, 6, 7, 8).timestamp()
    planned = sweep(ledger, "branches", created=began)
    other = sweep(ledger, "gating", created=began + 3600)
    sweep(ledger, "branches", created=began + 7200)
    rows = [row for line in sweeps("list").out.splitlines() if len(row := _cells(line)) > 5]
    assert [row[1] for row in rows] == [planned.id, other.id]
    assert [row[4] for row in rows] == ["2024-05-06 07:08", "2024-05-06 08:08"]


def test_list_of_an_empty_root_says_so(ledger: Ledger, sweeps: Callable) -> None:
    assert sweeps("list") == (0, f"no sweeps in {ledger.root}; --root or TERMINATOR_ROOT names another\n", "")


def test_status_says_where_every_run_stands_and_why(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    done, running, failed, _ = map(ledger.run, planned.keys())
    finish(done)
    train(running, last=2)
    train(failed, last=1).fail(Reason.out_of_memory, "asked for 16 GiB")
    answer = sweeps("status")
    assert answer.code == 0
    cells = {row[1]: row[2:] for line in answer.out.splitlines() if len(row := re.split(r"\s*│\s*", line)) > 5}
    assert cells["full/0"][:2] == ["done", "3/3"]
    assert cells["full/1"][:2] == ["running", "1/3"]  # progress is written once a second: the first epoch's
    assert cells["no_local/0"][0] == "failed"
    assert "out_of_memory: asked for 16 GiB" in cells["no_local/0"]
    assert f"runs/{failed.key}/attempts/0001/log.txt" in cells["no_local/0"]
    assert cells["no_local/1"][0] == "pending"
    assert "1 done, 1 running, 1 failed, 1 pending" in answer.out


def test_a_sweep_is_named_by_its_ablation_or_how_it_begins(ledger: Ledger, sweeps: Callable) -> None:
    old = sweep(ledger, "branches", created=1.0)
    new = sweep(ledger, "gating", created=2.0)
    assert new.id in sweeps("status").out
    assert old.id in sweeps("status", "branches").out
    assert old.id in sweeps("status", "bra").out
    assert old.id in sweeps("status", old.id).out


def test_the_root_may_stand_before_or_after_the_command(ledger: Ledger, sweeps: Callable, tmp_path: Path) -> None:
    sweep(ledger, "branches")
    other = str(tmp_path / "elsewhere")
    for words in (("--root", other, "status"), ("status", "--root", other)):
        answer = sweeps(*words)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err == f"terminator: no sweeps in {other}; --root or TERMINATOR_ROOT names another\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "nope"), "terminator: sweep=nope: no such sweep in {root}; there are: {id}"),
        (("logs", "nope", "full/0"), "terminator: sweep=nope: no such sweep in {root}; there are: {id}"),
        (("sync", "--sweep", "nope"), "terminator: sweep=nope: no such sweep in {root}; there are: {id}"),
        (("logs", "nope/0"), "terminator: run=nope/0: no such run; choose from full/0, full/1, no_local/0, no_local/1"),
        (("logs", "full/0"), "terminator: run=full/0: has no log yet: it is pending"),
        (("sync", "--uri", "mlruns"), "terminator: tracking.uri=mlruns: must begin with http://"),
        (("frobnicate",), "terminator sweeps: argument COMMAND: invalid choice: 'frobnicate' (choose from"),
        ((), "terminator sweeps: the following arguments are required: COMMAND"),
        (("logs",), "terminator sweeps logs: the following arguments are required: run"),
        (("logs", "full/0", "--tail", "few"), "terminator sweeps logs: argument --tail: invalid int value: 'few'"),
    ],
)
def test_bad_input_is_one_line(ledger: Ledger, sweeps: Callable, words: tuple[str, ...], said: str) -> None:
    planned = sweep(ledger, "branches")
    answer = sweeps(*words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith(said.format(root=ledger.root, id=planned.id))


def test_logs_finds_a_run_by_name_or_key(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    run = ledger.run(planned.keys()[3])
    finish(run)
    whole = "epoch 1\nepoch 2\nepoch 3\n"
    assert sweeps("logs", "no_local/1") == (0, whole, f"{run.log_path()}\n")
    assert sweeps("logs", run.key[:8]).out == whole
    assert sweeps("logs", run.key, "--tail", "1").out == "epoch 3\n"


def test_logs_of_the_newest_sweep_unless_another_is_named(ledger: Ledger, sweeps: Callable) -> None:
    old, new = sweep(ledger, "branches", created=1.0), sweep(ledger, "gating", code="other", created=2.0)
    for planned in (old, new):
        finish_all(ledger, planned)
    assert new.keys()[0] in sweeps("logs", "full/0").err
    for words in (
        ("full/0", "--sweep", "branches"),
        ("--sweep", "branches", "full/0"),
        ("branches", "full/0"),
        (old.id, "full/0", "--tail", "1"),
    ):
        assert old.keys()[0] in sweeps("logs", *words).err


@pytest.mark.parametrize("command", ["status", "watch", "retry", "cancel"])
def test_every_command_takes_the_sweep_as_a_word_or_an_option(ledger: Ledger, sweeps: Callable, command: str) -> None:
    old = sweep(ledger, "branches", created=1.0, tracked=False)
    finish_all(ledger, old)
    sweep(ledger, "gating", code="other", created=2.0, tracked=False)
    for words in (("branches",), ("--sweep", "branches")):
        answer = sweeps(command, *words)
        assert (answer.code, old.id in answer.out) == (0, True)


def test_watch_ends_when_nothing_runs(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches", tracked=False)
    finish_all(ledger, planned)
    answer = sweeps("watch")
    assert answer.code == 0
    assert "4 done" in answer.out


def test_watch_says_by_its_exit_code_that_runs_are_missing(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches", tracked=False)
    finish(ledger.run(planned.keys()[0]))
    assert sweeps("watch").code == 1
