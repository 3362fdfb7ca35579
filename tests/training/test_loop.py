"""The loop: reproducible numbers, the choice of the epoch, divergence, what stands in rows and result."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from terminator.config import (
    Evaluation,
    ObjectiveConfig,
    OptimizerConfig,
    OptimizerName,
    Precision,
    Protocol,
    RunConfig,
    SlowLoss,
    SourceSeeds,
    TrainingConfig,
)
from terminator.data.config import DataConfig, FolderConfig
from terminator.data.load import load
from terminator.errors import Diverged, UserError
from terminator.model.build import build
from terminator.stop import StopRequest
from terminator.training.evaluation import Score, evaluate
from terminator.training.loop import State, train
from tests.training.conftest import Freeze, final_weights, finish, numbers, with_training


def test_the_same_seed_gives_the_same_numbers(small: RunConfig, freeze: Freeze) -> None:
    first, second = freeze(small, "first"), freeze(small, "second")
    torch.manual_seed(1)
    metrics = finish(first)
    torch.manual_seed(2)  # nothing is drawn from the process's own stream
    assert numbers(metrics) == numbers(finish(second))
    weights = final_weights(second)
    assert all(torch.equal(weight, weights[name]) for name, weight in final_weights(first).items())


def test_each_source_of_randomness_has_a_seed_of_its_own(small: RunConfig, freeze: Freeze) -> None:
    small = with_training(small, epochs=1)
    usual = numbers(finish(freeze(replace(small, seed=1), "usual")))
    named = replace(small, seed=2, seed_of=SourceSeeds(init=1, order=1))
    assert numbers(finish(freeze(named, "named"))) == usual
    for other in (SourceSeeds(order=1), SourceSeeds(init=1), SourceSeeds(init=1, order=1, split=None)):
        assert numbers(finish(freeze(replace(small, seed=2, seed_of=other), str(other)))) != usual


def test_rows_and_result(small: RunConfig, freeze: Freeze) -> None:
    run = freeze(with_training(small, epochs=3))
    metrics = finish(run)
    rows = run.metrics()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8), (3, 12)]
    # 2 steps of warm-up, then 10 of cosine: the third epoch's last step, number 11, is the cosine's ninth of ten.
    assert rows[2]["lr"] == pytest.approx(0.01 * 0.5 * (1 + math.cos(0.9 * math.pi)))
    for row in rows:
        parts = row["train_cross_entropy"] + row["train_slow_loss"] + row["train_penalty"]
        assert row["train_loss"] == pytest.approx(parts, rel=1e-6)
        assert row["train_penalty"] > 0
        assert 0 <= row["train_accuracy"] <= 1
    best = max(rows, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["validation_accuracy"] == best["validation_accuracy"]
    assert metrics["validation_loss"] == best["validation_loss"]
    assert metrics["epochs"] == 3
    assert metrics["optimistic"] is False
    network = build(small.model, image_shape=(1, 8, 8), classes=10)
    assert metrics["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert metrics["flops"] > 0
    assert metrics["peak_memory_bytes"] > 1e7
    seconds = metrics["train_seconds"]
    assert seconds == pytest.approx(sum(row["epoch_seconds"] for row in rows))
    assert metrics["images_per_second"] == pytest.approx(3 * 4 * 300 / seconds)


def test_the_result_is_the_best_epochs(small: RunConfig, freeze: Freeze) -> None:
    run = freeze(small)
    attempt = run.begin()
    metrics = train(run, attempt, StopRequest(), None)
    best = torch.load(attempt.checkpoint_path, weights_only=True)["state"]["best"]
    data = load(DataConfig())
    network = build(small.model, image_shape=(1, 8, 8), classes=10).eval()
    network.load_state_dict(best["weights"])
    correct = loss = 0.0
    for batch in data.test.even_batches(100):
        logits = network(data.standardise(batch.images)).logits
        correct += (logits.argmax(1) == batch.labels).sum().item()
        loss -= logits.log_softmax(1).gather(1, batch.labels[:, None]).sum().item()
    assert metrics["test_accuracy"] == correct / 360
    assert metrics["test_loss"] == pytest.approx(loss / 360, rel=1e-5)


def test_the_releases_protocol_chooses_on_test_and_says_so(small: RunConfig, freeze: Freeze) -> None:
    run = freeze(with_training(small, protocol=Protocol.release))
    metrics = finish(run)
    assert metrics["optimistic"] is True
    assert metrics["test_accuracy"] == metrics["validation_accuracy"]
    assert metrics["test_accuracy"] == max(row["validation_accuracy"] for row in run.metrics())
    assert metrics["images_per_second"] * metrics["train_seconds"] == pytest.approx(2 * 4 * 300)  # of 1,437 images


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([(0.5, 1.0), (0.6, 2.0), (0.4, 0.1)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),
        ([(0.5, 1.0), (0.5, 1.0)], 1),
    ],
)
def test_best_epoch_by_accuracy_then_loss_then_age(scores: list[tuple[float, float]], best: int) -> None:
    state = State.at_start(1, 1, torch.device("cpu"))
    for epoch, (accuracy, loss) in enumerate(scores):
        state.epoch = epoch
        state.offer(Score(loss, accuracy), {"weight": torch.tensor(float(epoch))})
    assert state.best is not None
    assert state.best.epoch == best
    assert state.best.weights["weight"] == best - 1


def test_divergence_names_its_step(small: RunConfig, freeze: Freeze) -> None:
    run = freeze(replace(small, optimizer=OptimizerConfig(name=OptimizerName.sgd, betas=[0.9], lr=1e30)))
    with pytest.raises(Diverged, match=r"^the loss is (nan|inf) at step 2 \(epoch 1\)$"):
        train(run, run.begin(), StopRequest(), None)


def test_a_batch_larger_than_the_split(small: RunConfig, freeze: Freeze, tmp_path: Path) -> None:
    """Of data whose number is not known before they are read; of others the configuration is refused."""
    images, folder = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8), tmp_path / "data"
    folder.mkdir()
    np.savez(folder / "train.npz", image=images, label=np.arange(40) % 2)
    data = FolderConfig(folder=str(folder), image_shape=[1, 8, 8], classes=2, test_images=10)
    run = freeze(replace(small, data=data))
    with pytest.raises(UserError, match=r"^training.batch_size=300: must be at most the 26 training images$"):
        train(run, run.begin(), StopRequest(), None)


@pytest.mark.parametrize(
    "change",
    [
        {"objective": ObjectiveConfig(slow_loss=SlowLoss.off, penalty=0.0, label_smoothing=0.0)},
        {"objective": ObjectiveConfig(slow_loss=SlowLoss.tile)},
        {"optimizer": OptimizerConfig(name=OptimizerName.adamw, betas=[0.9, 0.999], weight_decay=0.01)},
        {"optimizer": OptimizerConfig(name=OptimizerName.kar2, betas=[0.95])},
    ],
)
def test_every_objective_and_optimizer_trains(small: RunConfig, freeze: Freeze, change: dict[str, object]) -> None:
    run = freeze(replace(with_training(small, epochs=1), **change))  # type: ignore[arg-type]
    assert math.isfinite(finish(run)["test_loss"])
    if "objective" in change and small.objective.penalty:
        row = run.metrics()[0]
        assert (row["train_penalty"] == 0) is (run.spec().config["objective"]["penalty"] == 0)


def test_bfloat16_changes_the_numbers_a_little(small: RunConfig, freeze: Freeze) -> None:
    exact = finish(freeze(with_training(small, epochs=1)))
    rough = finish(freeze(with_training(small, epochs=1, precision=Precision.bfloat16)))
    assert rough["test_loss"] != exact["test_loss"]
    assert rough["test_loss"] == pytest.approx(exact["test_loss"], rel=0.3)


def test_population_statistics_make_a_result_independent_of_the_batches(small: RunConfig, freeze: Freeze) -> None:
    results = {
        (evaluation, size): finish(
            freeze(with_training(small, epochs=1, evaluation=evaluation, evaluation_batch_size=size))
        )["test_loss"]
        for evaluation in Evaluation
        for size in (40, 360)
    }
    assert results[Evaluation.population, 40] == pytest.approx(results[Evaluation.population, 360], rel=1e-6)
    assert results[Evaluation.batch, 40] != pytest.approx(results[Evaluation.batch, 360], rel=1e-4)


def test_even_batches() -> None:
    data = load(DataConfig())
    sizes = [len(batch) for batch in data.test.even_batches(100)]
    assert sizes == [90, 90, 90, 90]
    assert [len(batch) for batch in data.validation.even_batches(179)] == [90, 90]
    assert [len(batch) for batch in data.validation.even_batches(180)] == [180]


def test_evaluation_by_hand() -> None:
    data = load(DataConfig())
    logits = torch.tensor([math.log(2.0), 0.0] + [-math.inf] * 8)  # softmax 2/3, 1/3

    def zero_always(images: torch.Tensor) -> tuple[torch.Tensor, None]:
        return logits.expand(len(images), 10), None

    only = data.test.take((data.test.labels < 2).nonzero().flatten())
    zeros = (only.labels == 0).sum().item()
    looks: list[None] = []
    training = TrainingConfig(evaluation_batch_size=50)
    network = torch.nn.Identity()
    score = evaluate(network, only, data, training, predict=zero_always, between_batches=lambda: looks.append(None))
    ones = len(only) - zeros
    assert score.accuracy == zeros / len(only)
    assert score.loss == pytest.approx(-(zeros * math.log(2 / 3) + ones * math.log(1 / 3)) / len(only))
    assert len(looks) == 2
