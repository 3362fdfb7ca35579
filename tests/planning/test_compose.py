"""The command line after `-m`, sorted; typed settings; errors in one line."""

from __future__ import annotations

import re

import pytest
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError

from terminator.cluster.profile import ClusterProfile
from terminator.config import RunConfig, schema
from terminator.errors import UserError
from terminator.model.config import Gate, TerminatorConfig
from terminator.planning.compose import Composer, format_error, read_command_line, typed
from terminator.planning.settings import Settings


def test_a_command_line_is_sorted(loader: ConfigLoader) -> None:
    arguments = ["ablation=branches,gating", "seed=range(3)", "data=digits", "model=tiny,release", "training.epochs=2"]
    line = read_command_line(loader, arguments)
    assert line.ablations == ["branches", "gating"]
    assert line.seeds == [0, 1, 2]
    assert line.base == ["data=digits", "training.epochs=2"]
    assert list(line.contexts()) == [["model=tiny"], ["model=release"]]


@pytest.mark.parametrize("word", ["ablation=gating,gating", "seed=1,1", "model.gate=glu,rgu,glu", "data=digits,digits"])
def test_a_value_listed_twice_is_refused(loader: ConfigLoader, word: str) -> None:
    with pytest.raises(UserError, match=rf"^{word}: .* is listed twice$"):
        read_command_line(loader, [word])


@pytest.mark.parametrize("word", ["ablation.looks=[3,5]", "ablation.shares=[1]"])
def test_looks_beside_a_list_of_seeds_are_refused(loader: ConfigLoader, word: str) -> None:
    with pytest.raises(UserError, match=rf"^{re.escape(word)}: seed= gives a fixed list of seeds, which is one look"):
        read_command_line(loader, ["ablation=gating", word, "seed=0,1,2"])


def test_choices_multiply(loader: ConfigLoader) -> None:
    contexts = read_command_line(loader, ["model.width=1,2", "model.gate=glu,mixer"]).contexts()
    assert [" ".join(context) for context in contexts] == [
        "model.width=1 model.gate=glu",
        "model.width=1 model.gate=mixer",
        "model.width=2 model.gate=glu",
        "model.width=2 model.gate=mixer",
    ]
    assert list(read_command_line(loader, ["data=digits"]).contexts()) == [[]]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=0.5", r"seed=0\.5: seeds must be whole numbers, as in seed=0,1,2"),
        ("model.width=interval(1,2)", r"model\.width=interval\(1,2\): must list its values"),
    ],
)
def test_values_are_listed_and_seeds_are_whole_numbers(loader: ConfigLoader, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_command_line(loader, [override])


def test_a_cluster_profile_without_its_schema_is_one(composer: Composer) -> None:
    plain = OmegaConf.merge(
        schema(Settings), {"model": schema(TerminatorConfig)}, {"cluster": {"partition": "long", "timeout_min": 5}}
    )
    assert isinstance(plain, DictConfig)
    assert typed(plain).cluster == ClusterProfile(partition="long", timeout_min=5)
    wrong = OmegaConf.merge(schema(Settings), {"model": schema(TerminatorConfig)}, {"cluster": {"partitoin": "long"}})
    assert isinstance(wrong, DictConfig)
    with pytest.raises(ConfigKeyError) as caught:
        typed(wrong)
    message = r"cluster\.partitoin: no such key; did you mean partition\? choose from partition, account"
    assert re.match(message, format_error(caught.value))


def test_settings_are_typed_and_frozen(composer: Composer) -> None:
    config = composer.settings(["model.gate=glu", "model.width=2", "seed=7"]).run_config()
    assert type(config) is RunConfig
    assert isinstance(config.model, TerminatorConfig)
    assert (config.model.gate, config.model.width, config.seed) == (Gate.glu, 2.0, 7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=foo", r"model=foo: no such model; .*choose from .*release.*tiny"),
        ("ablation=sub/branch", r"ablation=sub/branch: no such ablation; .*choose from .*branches, "),
        ("ablation.seeds=[1,1]", r"ablation\.seeds=\[1, 1\]: seeds must differ from each other"),
        ("ablation.smallest_effect=0.0", r"ablation\.smallest_effect=0\.0: must be positive"),
        ("sweep.workers=0", r"sweep\.workers=0: must be at least 1"),
        ("seed_of.order=-1", r"seed_of\.order=-1: must be null or from 0 to "),
    ],
)
def test_bad_input_names_key_value_and_choices(composer: Composer, override: str, message: str) -> None:
    """More of it, through the command line: tests/test_wrong_input.py."""
    with pytest.raises(UserError, match=f"^{message}") as caught:
        composer.settings([override])
    assert "\n" not in str(caught.value)


def test_values_are_applied_as_hydra_applies_them(composer: Composer, loader: ConfigLoader, master: DictConfig) -> None:
    for overrides in (
        ["model.width=2", "objective.label_smoothing=0.2", "model.width=3"],
        ["data=sdigits", "data.test_images=40", "model=ckcnn", "model.depth=2"],
        ["model.branches.local=false", "model.local_kernels=[3]", "model.gate=glu", "optimizer.lr=1e-3"],
        ["ablation=gating", "ablation.seeds=[4,5]", "sweep.workers=1", "recipe=sdigits"],
    ):
        for _ in range(2):  # the second time from what the first one kept
            assert composer.settings(overrides) == typed(loader.load_sweep_config(master, overrides))
