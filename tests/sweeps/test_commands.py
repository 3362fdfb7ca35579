from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from terminator.ledger import Decision, Ledger, Look, LookPlan, Reason, Sweep, Verdict
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
    rows = [
        replace(each, overrides={**each.overrides, "seed_of.split": None}) for each in planned.ablations[0].variants
    ]
    varied = replace(planned.ablations[0], variants=rows)
    ledger.write_sweep(replace(planned, id="branches-varied", ablations=[varied]))
    cells = {row[1]: row[2:4] for line in sweeps("list").out.splitlines() if len(row := _cells(line)) > 5}
    assert cells[planned.id] == ["digits", ""]
    assert cells["branches-varied"] == ["digits", "seed_of.split=null"]
    assert cells["branches-other"] == ["digits", "model=release training.epochs=2 seed=3,4"]


def test_list_shows_when_a_sweep_was_last_called_and_puts_the_last_first(ledger: Ledger, sweeps: Callable) -> None:
    began = datetime(2024, 5, 6, 7, 8).timestamp()
    planned = sweep(ledger, "branches", created=began)
    other = sweep(ledger, "gating", created=began + 3600)
    sweep(ledger, "branches", created=began + 7200)
    rows = [row for line in sweeps("list").out.splitlines() if len(row := _cells(line)) > 5]
    assert [row[1] for row in rows] == [planned.id, other.id]
    assert [row[4] for row in rows] == ["2024-05-06 09:08", "2024-05-06 08:08"]


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
        (("frobnicate",), "terminator: frobnicate: no such command; choose from list, status"),
        ((), "terminator: the following arguments are required: COMMAND"),
        (("logs",), "terminator: the following arguments are required: run"),
        (
            ("logs", "full/0", "--tail", "few"),
            "terminator: --tail=few: must be a whole number; see terminator sweeps logs",
        ),
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


def test_status_as_json_holds_what_the_table_shows(ledger: Ledger, sweeps: Callable) -> None:
    planned = sweep(ledger, "branches")
    done, running, failed, pending = map(ledger.run, planned.keys())
    finish(done)
    train(running, last=2)
    train(failed, last=1).fail(Reason.out_of_memory, "asked for 16 GiB")
    answer = sweeps("status", "--json")
    assert answer.code == 0
    document = json.loads(answer.out)
    runs = document.pop("runs")
    assert document == {
        "sweep": planned.id,
        "data": ["digits"],
        "settings": [],
        "created": 1.0,
        "called": 1.0,
        "states": {"done": 1, "running": 1, "failed": 1, "pending": 1},
        "looks": [],
    }
    assert [run["name"] for run in runs] == ["full/0", "full/1", "no_local/0", "no_local/1"]
    assert runs[2] == {
        "name": "no_local/0",
        "key": failed.key,
        "state": "failed",
        "epoch": 1,
        "epochs": 3,
        "seconds_left": None,
        "attempts": 1,
        "host": socket.gethostname(),
        "job": None,
        "reason": "out_of_memory",
        "message": "asked for 16 GiB",
        "log": str(failed.log_path()),
    }
    nothing = {"epoch": None, "epochs": None, "attempts": 0, "host": None, "reason": None, "message": None, "log": None}
    assert {name: runs[3][name] for name in nothing} == nothing
    assert (runs[3]["key"], runs[3]["state"]) == (pending.key, "pending")


def _looked_at(ledger: Ledger, *looks: Look, most_looks: int | None = None) -> Sweep:
    """A sweep of a plan of two looks, with these looks made. All runs of three seeds are done."""
    planned = sweep(ledger, "gating", tracked=False)
    full, no_local = planned.ablations[0].variants
    variants = [replace(each, runs={**each.runs, 2: list(each.runs.values())[1]}) for each in (full, no_local)]
    ablation = replace(planned.ablations[0], seeds=[0, 1, 2], variants=variants, looks=LookPlan((3, 5), (0.5, 0.5)))
    finish_all(ledger, planned)
    ledger.looks(ablation).freeze(ablation.plan)
    for look in looks:
        ledger.looks(ablation).record(look)
    return ledger.write_sweep(
        replace(planned, ablations=[ablation], most_looks=most_looks, command=["python", "-m", "x", "a={b: [1]}"])
    )


OPEN = Look(1, (0, 1, 2), 0.0225, True, {"no_local": Decision(look=1, seeds=(0, 1, 2))})
CLOSED = replace(OPEN, decisions={"no_local": Decision(Verdict.worse, 1, (0, 1, 2))})


@pytest.mark.parametrize(
    ("made", "shown", "text"),
    [
        (
            [],
            {"look": 0, "seeds": 0, "decided": 0, "next_seeds": 3, "runs_to_come": 0},
            "no look yet, 0 of 1 row decided; next: 3 seeds, 0 runs to come",
        ),
        (
            [OPEN],
            {"look": 1, "seeds": 3, "decided": 0, "next_seeds": 5, "runs_to_come": 4},
            "look 1 of 2 made (3 seeds), 0 of 1 row decided; next: 5 seeds, 4 runs to come",
        ),
        (
            [CLOSED],
            {"look": 1, "seeds": 3, "decided": 1, "next_seeds": None, "runs_to_come": 0},
            "look 1 of 2 made (3 seeds), 1 of 1 row decided; every row is decided",
        ),
    ],
)
def test_status_tells_where_the_looks_stand(
    ledger: Ledger, sweeps: Callable, made: list[Look], shown: dict[str, int | None], text: str
) -> None:
    planned = _looked_at(ledger, *made)
    expected = [{"ablation": "gating", "looks": 2, "rows": 1, **shown}]
    assert json.loads(sweeps("status", "--json").out)["looks"] == expected
    listed = json.loads(sweeps("list", "--json").out)
    assert listed["root"] == str(ledger.root)
    assert [(each["sweep"], each["states"], each["looks"]) for each in listed["sweeps"]] == [
        (planned.id, {"done": 4}, expected)
    ]
    assert f"gating: {text}" in sweeps("status").out


def test_list_as_json_of_an_empty_root_is_a_document_too(ledger: Ledger, sweeps: Callable) -> None:
    answer = sweeps("list", "--json")
    assert (answer.code, json.loads(answer.out)) == (0, {"root": str(ledger.root), "sweeps": []})


@pytest.mark.parametrize(
    ("made", "most_looks", "is_told"),
    [([], None, True), ([OPEN], None, True), ([OPEN], 1, False), ([OPEN], 2, True), ([CLOSED], None, False)],
)
def test_retry_tells_how_the_next_look_is_made(
    ledger: Ledger, sweeps: Callable, made: list[Look], most_looks: int | None, is_told: bool
) -> None:
    planned = _looked_at(ledger, *made, most_looks=most_looks)
    hint = "the next look is made by: python -m x 'a={b: [1]}'\n" if is_told else ""
    answer = sweeps("retry")
    assert (answer.code, answer.out) == (0, f"{planned.id}: nothing to run again\n{hint}")
