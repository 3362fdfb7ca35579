from __future__ import annotations

import shutil

import pytest

from terminator.ledger import Attempt, Job, Reason, ResumedFrom, Run, RunState, Superseded, files
from tests.ledger.processes import together


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
    said = together(prepare, f"print(Run(pathlib.Path({str(run.folder)!r})).begin().number)", 8)
    assert sorted(map(int, said)) == list(range(1, 9))
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
