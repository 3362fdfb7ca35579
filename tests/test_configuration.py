"""Every YAML file of conf/ and sweeps/ composes into the typed settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from terminator.config import from_plain, to_plain
from terminator.planning.compose import typed
from terminator.planning.cost import cost
from terminator.planning.variants import to_words, variants
from terminator.settings import Settings, register_schemas
from terminator.shipped import shipped

GROUPS = ("model", "data", "optimizer", "recipe")
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((shipped("conf") / group).glob("*.yaml"))]
ABLATIONS = sorted(path.stem for path in (shipped("sweeps") / "ablation").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        yield


def _settings(*words: str) -> Settings:
    return typed(compose("config", list(words), return_hydra_config=True))


def test_nothing_is_left_out() -> None:
    known = {shipped("conf") / "config.yaml", *(shipped("conf") / group / f"{name}.yaml" for group, name in CHOICES)}
    assert set(shipped("conf").rglob("*.yaml")) == known
    assert len(CHOICES) > len(GROUPS)
    assert {"branches", "kernel_sizes", "gating", "slow_loss"} <= set(ABLATIONS)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_choice_composes_and_survives_a_record(group: str, name: str) -> None:
    config = _settings(f"{group}={name}").run_config()
    assert from_plain(to_plain(config)) == config


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_variant_of_an_ablation_makes_a_model(name: str) -> None:
    ablation = _settings(f"ablation={name}").ablation
    assert ablation.question.endswith("?")
    for variant in variants(ablation, name):
        assert cost(_settings(*to_words(variant.overrides)).run_config()).parameters > 0


def test_the_root_defaults_to_the_environment_then_to_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERMINATOR_ROOT", raising=False)
    assert Settings().root_folder() == tmp_path / "outputs"
    monkeypatch.setenv("TERMINATOR_ROOT", str(tmp_path / "elsewhere"))
    assert Settings().root_folder() == tmp_path / "elsewhere"
    assert Settings(root=str(tmp_path / "given")).root_folder() == tmp_path / "given"
