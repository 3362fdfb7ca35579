"""Every YAML file of conf/ composes into the typed settings; those of sweeps/: tests/planning/test_ablations.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException

from terminator.config import Evaluation, OptimizerName, Protocol, SlowLoss, from_plain, shipped, to_plain
from terminator.errors import UserError
from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.planning.compose import typed
from terminator.planning.settings import Settings, group_schemas, register_schemas

GROUPS = ("model", "data", "optimizer", "recipe")
CHOICES = {group: sorted(path.stem for path in (shipped("conf") / group).glob("*.yaml")) for group in GROUPS}
EXPERIMENTS = sorted(path.stem for path in (shipped("conf") / "experiment").glob("*.yaml"))
# One of every group at a time, the shorter groups again from their start.
TOGETHER = [
    [f"{group}={names[number % len(names)]}" for group, names in CHOICES.items()]
    for number in range(max(map(len, CHOICES.values())))
]


@pytest.fixture(autouse=True, scope="module")
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        yield


def _settings(*words: str) -> Settings:
    return typed(compose("config", list(words), return_hydra_config=True))


def test_nothing_is_left_out() -> None:
    named = {"experiment": EXPERIMENTS, **CHOICES}
    known = {shipped("conf") / group / f"{name}.yaml" for group, names in named.items() for name in names}
    assert set(shipped("conf").rglob("*.yaml")) == known | {shipped("conf") / "config.yaml"}
    assert all(named.values())
    assert {word for words in TOGETHER for word in words} == {f"{g}={name}" for g in GROUPS for name in CHOICES[g]}


@pytest.mark.parametrize(("group", "name"), [tuple(path.split("/")) for path in group_schemas()])
def test_a_groups_schema_is_no_choice(group: str, name: str) -> None:
    choices = GlobalHydra.instance().config_loader().get_group_options(group)
    assert name not in choices
    assert choices


@pytest.mark.parametrize("words", [*TOGETHER, *([f"+experiment={name}"] for name in EXPERIMENTS)], ids=" ".join)
def test_choices_compose_and_survive_a_record(words: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", image=np.ones((200, 1, 9)), label=np.arange(200) % 2)
    needed = {"model=custom": "model.target=my_nets:Net", "data=folder": f"data.folder={tmp_path}"}
    config = _settings(*words, *(needed[word] for word in words if word in needed)).run_config()
    assert from_plain(to_plain(config)) == config


@pytest.mark.parametrize("name", [name for name in CHOICES["model"] if name.endswith("_matched")])
def test_matched_models_have_the_releases_parameters(name: str) -> None:
    config = _settings("data=cifar10", f"model={name}").run_config()
    data = config.data
    network = build(config.model, image_shape=data.input_shape, classes=data.classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(1_336_855, rel=0.005)


@pytest.mark.parametrize(
    ("dataset", "lr", "penalty", "betas"),
    [("cifar10", 1.215e-3, 5e-5, [0.5, 0.95]), ("cifar100", 1.20925e-3, 4e-5, [0.75, 0.99])],
)
def test_the_authors_runs(dataset: str, lr: float, penalty: float, betas: list[float]) -> None:
    """By hand from docs/architecture.md §6–9."""
    config = _settings(f"+experiment={dataset}_release").run_config()
    training, objective, optimizer, data = config.training, config.objective, config.optimizer, config.data
    assert config.model == TerminatorConfig()
    assert (data.name, data.crop_padding, data.horizontal_flip, config.seed) == (dataset, 4, True, 0)
    assert (training.epochs, training.warmup_epochs, training.batch_size) == (100, 8, 64)
    assert (training.protocol, training.evaluation) == (Protocol.release, Evaluation.batch)
    assert (objective.label_smoothing, objective.penalty) == (0.09, penalty)
    assert (objective.slow_loss, objective.slow_loss_weight) == (SlowLoss.channel_sum, 1)
    assert (optimizer.name, optimizer.lr, optimizer.betas) == (OptimizerName.kar3, lr, betas)


@pytest.mark.parametrize("name", ["resnet20", "large_kernel_cnn", "ckcnn"])
def test_a_model_takes_its_own_familys_fields(name: str) -> None:
    with pytest.raises(ConfigCompositionException, match="gate"):
        _settings(f"model={name}", "model.gate=glu")
    with pytest.raises(UserError, match=r"model\.architecture=terminator: goes with another family's fields"):
        _settings(f"model={name}", "model.architecture=terminator").run_config()


def test_the_root_defaults_to_the_environment_then_to_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERMINATOR_ROOT", raising=False)
    assert Settings().root_folder() == tmp_path / "outputs"
    monkeypatch.setenv("TERMINATOR_ROOT", str(tmp_path / "elsewhere"))
    assert Settings().root_folder() == tmp_path / "elsewhere"
    assert Settings(root=str(tmp_path / "given")).root_folder() == tmp_path / "given"


def test_own_data_bring_their_shape_and_must_fill_a_batch(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", image=np.ones((100, 3, 9)), label=np.arange(100) % 4)
    words = ["data=folder", f"data.folder={tmp_path}", "training.batch_size=70"]
    data = _settings(*words).run_config().data
    assert (data.input_shape, data.classes, data.test_images) == ((3, 9), 4, 20)
    words[-1] = "training.batch_size=71"
    with pytest.raises(UserError, match=r"^training.batch_size=71: must be at most the 70 training images of "):
        _settings(*words).run_config()
    _settings(*words, "training.protocol=release").run_config()


def test_a_data_folder_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert _settings("data=mnist", "data.folder=parquet").run_config().data.folder == str(tmp_path / "parquet")
