"""A run's state, derived from its files, and the attempts at it."""

from __future__ import annotations

import shutil

import pytest

from terminator.errors import UserError
from terminator.ledger import Attempt, AttemptRecord, Job, Ledger, Reason, ResumedFrom, Run, RunState, Superseded, files
from tests.ledger.processes import python, together


def test_a_run_that_was_never_begun_is_pending(ledger: Ledger, run: Run) -> None:
    assert run.state().state is RunState.pending
    assert ledger.run("0123456789abcdef").state().state is RunState.pending
    assert run.log_path() is None
    assert run.metrics() == []


def test_an_open_attempt_is_running(run: Run) -> None:
    run.begin().progress(epoch=1, epochs=10, step=3, steps_per_epoch=20)
    status = run.state()
    assert (status.state, status.epoch, status.epochs, status.attempts) == (RunState.running, 1, 10, 1)


@pytest.mark.parametrize(("alive", "state"), [(True, "running"), (None, "running"), (False, "failed")])
def test_who_knows_whether_it_lives_decides(run: Run, alive: bool | None, state: str) -> None:
    run.begin()
    assert run.state(lambda attempt: alive).state.value == state
    assert not (run.attempt_folder(1) / "end.json").exists()


def test_a_run_that_ends_while_it_is_looked_at_is_done(run: Run) -> None:
    attempt = run.begin()

    def ends_meanwhile(record: AttemptRecord) -> bool:
        attempt.finish({"test_accuracy": 1.0})
        return False

    assert run.state(ends_meanwhile).state is RunState.done


def test_failed_with_its_reason(run: Run) -> None:
    run.begin().fail(Reason.out_of_memory, "16 GiB asked", "Traceback …")
    status = run.state()
    assert (status.state, status.reason, status.message) == (RunState.failed, Reason.out_of_memory, "16 GiB asked")
    assert run.attempts()[0].end.traceback == "Traceback …"


@pytest.mark.parametrize("state", [RunState.preempted, RunState.interrupted])
def test_stopped_runs_say_so(run: Run, state: RunState) -> None:
    run.begin().stop(state)
    assert (run.state().state.value, run.state().reason.value) == (state.value, state.value)


def test_the_newest_attempt_counts(run: Run) -> None:
    run.begin().fail(Reason.exception, "no")
    run.begin()
    assert (run.state().state, run.state().reason, run.state().attempts) == (RunState.running, None, 2)


def test_a_dead_attempt_is_closed_once(run: Run) -> None:
    attempt = run.begin()
    assert run.close(attempt.number, RunState.failed, Reason.node_lost, "n1 is down")
    assert not run.close(attempt.number, RunState.failed, Reason.killed, "gone")
    assert run.state().reason is Reason.node_lost


def test_kill_9_is_found_out(run: Run) -> None:
    code = f"""
import pathlib, sys
from terminator.ledger import Run
Run(pathlib.Path({str(run.folder)!r})).begin()
print("begun", flush=True)
sys.stdin.read()
"""
    with python(code) as job:
        assert job.stdout.readline() == "begun\n"
        assert run.state().state is RunState.running
        job.kill()
        job.wait()
    status = run.state()
    assert (status.state, status.reason, status.message) == (
        RunState.failed,
        Reason.killed,
        "the process ended without recording why",
    )


def test_a_damaged_result_is_run_again(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.begin().finish({"test_accuracy": 1.0})
    (run.folder / "result.json").write_text('{"schema": 1, "key"')
    assert run.state().state is RunState.pending
    assert "result.json is damaged" in caplog.text
    run.begin().finish({"test_accuracy": 0.5})
    assert run.result().metrics == {"test_accuracy": 0.5}


def test_a_damaged_attempt_counts_as_dead(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.begin()
    (run.attempt_folder(1) / "attempt.json").write_text("{}")
    assert run.state().reason is Reason.killed
    assert run.begin().number == 2
    assert "attempt.json is damaged" in caplog.text


def test_a_damaged_progress_or_end_is_left_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    attempt = run.begin()
    attempt.progress(epoch=1, epochs=2, step=0, steps_per_epoch=20)
    (attempt.folder / "progress.json").write_text("")
    (attempt.folder / "end.json").write_text('{"outcome": "perfect"}')
    status = run.state()
    assert (status.state, status.epoch) == (RunState.running, None)
    assert len(caplog.records) == 2


def test_a_last_line_that_is_being_written_is_left_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    attempt = run.begin()
    attempt.log_epoch({"epoch": 1, "train_loss": float("inf")})
    with open(attempt.folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch":2,"train_l')
    assert run.metrics() == [{"epoch": 1, "train_loss": float("inf")}]
    assert not caplog.records


def test_damaged_lines_are_set_aside_and_the_others_stay(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    attempt = run.begin()
    path = attempt.folder / "metrics.jsonl"
    path.write_text('{"epoch":1}\n\x00\x00\n{"epoch":2},{"epoch":2}\n7\n{"epoch":3}\n')
    for _ in range(2):
        assert run.metrics() == [{"epoch": 1}, {"epoch": 3}]
    assert "3 of 5 lines" in caplog.text
    assert len(caplog.records) == 1
    assert (attempt.folder / "metrics.jsonl.corrupt-1").exists()


def test_the_log_and_the_curves_are_the_newest_attempts(run: Run) -> None:
    first = run.begin()
    first.log_epoch({"epoch": 1, "train_loss": 1.0})
    (first.folder / "log.txt").write_text("first")
    second = run.begin()
    (second.folder / "log.txt").write_text("second")
    assert run.metrics() == []
    assert run.log_path() == second.folder / "log.txt"


def test_a_run_without_its_spec_says_what_to_do(ledger: Ledger) -> None:
    with pytest.raises(UserError, match=r"spec\.json is missing: run the sweep's command again"):
        ledger.run("0123456789abcdef").spec()


def row(epoch: int, loss: float = 0.5) -> dict[str, float]:
    return {"epoch": epoch, "step": 20 * epoch, "time": 1000.0 + epoch, "train_loss": loss}


def test_attempts_are_numbered_and_say_who_makes_them(run: Run) -> None:
    run.begin()
    run.begin(Job("slurm", "12_3", "n1"))
    first, second = run.attempts()
    assert (first.number, second.number) == (1, 2)
    assert (first.job, second.job) == (None, Job("slurm", "12_3", "n1"))
    assert second.folder.name == "0002"
    assert second.pid == first.pid is not None


def test_eight_processes_at_once_get_eight_numbers(run: Run) -> None:
    prepare = "import pathlib; from terminator.ledger import Run"
    numbers = together(prepare, f"print(Run(pathlib.Path({str(run.folder)!r})).begin().number)", 8)
    assert sorted(map(int, numbers)) == list(range(1, 9))
    assert len({attempt.pid for attempt in run.attempts()}) == 8
    assert sorted(path.name for path in (run.folder / "attempts").iterdir()) == [f"{n:04d}" for n in range(1, 9)]


@pytest.mark.parametrize(
    "write",
    [
        lambda attempt: attempt.log_epoch(row(1)),
        lambda attempt: attempt.progress(epoch=1, epochs=2, step=0, steps_per_epoch=20),
        lambda attempt: attempt.adopt(attempt.checkpoint_path, 1),
        lambda attempt: attempt.finish({"test_accuracy": 1.0}),
        lambda attempt: attempt.fail(Reason.exception, "no"),
        lambda attempt: attempt.stop(RunState.preempted),
        lambda attempt: attempt.check(),
    ],
)
def test_a_stale_attempt_writes_nothing(run: Run, write: object) -> None:
    stale = run.begin()
    run.begin()
    before = sorted(path for path in run.folder.rglob("*"))
    with pytest.raises(Superseded, match="attempt 1 is superseded by attempt 2"):
        write(stale)
    assert sorted(run.folder.rglob("*")) == before


def test_an_attempt_whose_run_was_deleted_ends(run: Run) -> None:
    attempt = run.begin()
    shutil.rmtree(run.folder)
    with pytest.raises(Superseded, match="deleted"):
        attempt.log_epoch(row(1))


def test_a_run_has_one_result(run: Run) -> None:
    run.begin().finish({"test_accuracy": 0.5})
    with pytest.raises(Superseded, match="has a result already"):
        run.begin()
    late = Attempt(run, 1)
    with pytest.raises(Superseded, match="has a result already"):
        late.finish({"test_accuracy": 0.9})
    assert run.result().metrics == {"test_accuracy": 0.5}
    assert run.state().state is RunState.done


def test_progress_is_written_once_a_second_and_at_the_end(run: Run) -> None:
    attempt = run.begin()
    attempt.progress(epoch=0, epochs=2, step=1, steps_per_epoch=20)
    attempt.progress(epoch=1, epochs=2, step=3, steps_per_epoch=20)
    assert run.state().epoch == 0
    attempt.stop(RunState.interrupted)
    assert (run.state().epoch, run.state().epochs) == (1, 2)


def test_an_attempt_resumes_with_the_rows_up_to_its_checkpoint(run: Run) -> None:
    first = run.begin()
    for epoch in (1, 2, 3):
        first.log_epoch(row(epoch, loss=1 / epoch))
    first.checkpoint_path.write_text("weights")
    first.stop(RunState.preempted)
    second = run.begin()
    assert second.resume_candidates() == [first.checkpoint_path]
    second.adopt(first.checkpoint_path, epoch=2, step=7)
    second.log_epoch(row(3, loss=9.0))
    assert run.metrics() == [row(1, 1.0), row(2, 0.5), row(3, 9.0)]
    assert run.attempts()[1].resumed_from == ResumedFrom(attempt=1, epoch=2, step=7)
    assert files.read_rows(first.folder / "metrics.jsonl")[-1]["train_loss"] == 1 / 3  # still its own


def test_the_newest_checkpoint_comes_first_and_a_damaged_one_is_set_aside(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    older, newer = run.begin(), run.begin()
    run.begin()
    for attempt in (older, newer):
        attempt.checkpoint_path.write_text("weights")
    last = run.begin()
    assert last.resume_candidates() == [newer.checkpoint_path, older.checkpoint_path]
    aside = last.set_aside(newer.checkpoint_path)
    assert aside == newer.folder / "checkpoint.pt.corrupt-1"
    assert last.resume_candidates() == [older.checkpoint_path]
    assert str(newer.checkpoint_path) in caplog.text
