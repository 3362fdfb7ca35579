"""A run that was stopped and resumed comes to the very numbers of one that was not."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from terminator.config import RunConfig
from terminator.data.config import DataConfig
from terminator.job import execute
from terminator.ledger import Reason, Run, RunState
from terminator.stop import Stopped, StopRequest
from terminator.training.loop import train
from tests.training.conftest import (
    STEPS_PER_EPOCH,
    Freeze,
    StopAtCheck,
    ended,
    final_weights,
    finish,
    numbers,
    start,
    with_training,
)

EVALUATION_BATCHES = 2
EPOCH = STEPS_PER_EPOCH + EVALUATION_BATCHES


def stop_at(run: Run, check: int) -> Path:
    """One attempt that is asked to stop. Returns its checkpoint."""
    attempt = run.begin()
    with pytest.raises(Stopped):
        train(run, attempt, StopAtCheck(1 + check), None)  # it looks once before the first step
    return attempt.checkpoint_path


def same(first: Run, second: Run) -> bool:
    """Whether results, epoch rows and final weights are equal to the bit."""
    metrics = [numbers(run.result().metrics) for run in (first, second)]
    rows = [[numbers(row) for row in run.metrics()] for run in (first, second)]
    assert len(rows[0]) == metrics[0]["epochs"]
    weights = [final_weights(run) for run in (first, second)]
    equal = (torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())
    return metrics[0] == metrics[1] and rows[0] == rows[1] and all(equal)


@pytest.fixture
def augmented(small: RunConfig) -> RunConfig:
    return replace(small, data=DataConfig(crop_padding=1, horizontal_flip=True))


def test_stopped_at_every_kind_of_place(augmented: RunConfig, freeze: Freeze) -> None:
    undisturbed, disturbed = freeze(augmented, "undisturbed"), freeze(augmented, "disturbed")
    finish(undisturbed)
    stop_at(disturbed, 1)  # after a step
    stop_at(disturbed, 2)  # two steps later
    stop_at(disturbed, 1)  # after the epoch's last step
    stop_at(disturbed, EVALUATION_BATCHES)  # in the middle of evaluation, done but for the row
    stop_at(disturbed, EVALUATION_BATCHES + STEPS_PER_EPOCH + 1)  # in the evaluation after the next epoch
    finish(disturbed)
    origins = [attempt.resumed_from for attempt in disturbed.attempts()]
    assert origins[0] is None
    assert origins[1:] == [(1, 0, 1), (2, 0, 3), (3, 0, 4), (4, 0, 4), (5, 1, 4)]  # attempt, epochs, steps
    assert same(undisturbed, disturbed)


def test_the_data_order_and_dropout_differ_by_seed(augmented: RunConfig, freeze: Freeze) -> None:
    first, other = freeze(augmented, "first"), freeze(replace(augmented, seed=1), "other")
    finish(first)
    finish(other)
    assert not same(first, other)


def test_killed_before_any_checkpoint_it_starts_anew(small: RunConfig, freeze: Freeze) -> None:
    undisturbed, disturbed = freeze(small, "undisturbed"), freeze(small, "disturbed")
    finish(undisturbed)
    disturbed.begin()
    finish(disturbed)
    assert same(undisturbed, disturbed)


@pytest.mark.filterwarnings("ignore:.*is damaged")
@pytest.mark.parametrize("harm", ["half", "bits", "foreign"])
def test_a_damaged_checkpoint_is_set_aside(small: RunConfig, freeze: Freeze, harm: str) -> None:
    undisturbed, disturbed = freeze(small, "undisturbed"), freeze(small, "disturbed")
    finish(undisturbed)
    stop_at(disturbed, 2)
    newest = stop_at(disturbed, EPOCH)
    content = bytearray(newest.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 128] = bytes(byte ^ 1 for byte in content[middle : middle + 128])  # longer than padding
    if harm == "foreign":
        torch.save([1, 2], newest)
    else:
        newest.write_bytes(content if harm == "bits" else content[:middle])
    finish(disturbed)
    assert not newest.exists()
    assert newest.with_name("checkpoint.pt.corrupt-1").exists()
    assert disturbed.attempts()[-1].resumed_from == (1, 0, 2)  # the one before
    assert same(undisturbed, disturbed)


KILLS = int(os.environ.get("TERMINATOR_KILLS", "1"))


class KillAtCheck(StopAtCheck):
    """Ends the process, as kill -9 does, at the loop's `number`-th look."""

    def asked(self) -> RunState | None:
        if super().asked():
            os.kill(os.getpid(), signal.SIGKILL)
        return None


def train_until_killed(run: Run, check: int) -> None:
    """The first process is killed; a second one loses its partner."""
    first = os.environ["RANK"] == "0"
    train(run, run.begin() if first else None, KillAtCheck(check) if first else StopRequest(), None)


@pytest.mark.parametrize(("processes", "accumulated"), [(1, 1), (2, 2)])
def test_killed_at_random_steps(small: RunConfig, freeze: Freeze, processes: int, accumulated: int) -> None:
    data = DataConfig(crop_padding=1, horizontal_flip=True, cutout=3, mixup=0.4)
    config = with_training(small, epochs=1 + KILLS * 3 // 2, batch_size=60, gradient_accumulation_steps=accumulated)
    config = replace(config, data=data, machine=replace(config.machine, checkpoint_min=0.0))  # as often as there can be
    undisturbed, disturbed = freeze(config, "undisturbed"), freeze(config, "disturbed")
    assert ended(start(processes, execute, undisturbed)) == [0] * processes
    draw = random.Random(processes)
    for _ in range(KILLS):
        codes = ended(start(processes, train_until_killed, disturbed, draw.randint(18, 30)))
        assert codes[0] == -signal.SIGKILL
        assert 0 not in codes
        assert (disturbed.state().state, disturbed.state().reason) == (RunState.failed, Reason.killed)
    assert ended(start(processes, execute, disturbed)) == [0] * processes
    within = [attempt.resumed_from for attempt in disturbed.attempts() if attempt.resumed_from]
    assert any(0 < step < 20 for _, _, step in within)  # of the 20 steps of an epoch
    assert same(undisturbed, disturbed)
