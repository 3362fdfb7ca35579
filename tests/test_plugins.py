"""Networks and data of installed packages: the examples of docs/extending.md, and entry points that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException

from terminator import run_key
from terminator.config import RunConfig, from_plain, shipped, to_plain
from terminator.data.config import data_config
from terminator.data.load import fingerprint, load
from terminator.errors import UserError
from terminator.model.build import build
from terminator.model.networks import architectures, module_of, network_config, network_modules
from terminator.planning.compose import typed
from terminator.planning.settings import group_schemas, register_schemas
from terminator.plugins import installed
from tests.test_extending import BLOCK, PAGE

EXAMPLE = {Path(title).name: text for _, title, text in BLOCK.findall(PAGE)}
MODULES = ("gated_nets", "my_nets", "stripe_data")


def install(folder: Path, points: str = "", name: str = "gated_nets") -> None:
    """Put a package of that name into a folder, by default the example."""
    points = points or EXAMPLE["pyproject.toml"].partition('"terminator.models"]\n')[2].replace('"', "")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    data = "" if name == "rival" else "[terminator.data]\nstripes = stripe_data\n"
    (info / "entry_points.txt").write_text(f"[terminator.models]\n{points}\n{data}")
    for module in MODULES:
        (folder / f"{module}.py").write_text(EXAMPLE[f"{module}.py"])


def forget() -> None:
    """Read installed packages and code anew."""
    for module in MODULES:
        sys.modules.pop(module, None)
    for cached in (
        installed,
        group_schemas,
        run_key._hash,
        run_key._closure,
        run_key._read,
        run_key._is_installed,
        run_key._find,
    ):
        cached.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python imports from, with the example in it."""
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path
    forget()


def configured(**fields: Any) -> RunConfig:
    return RunConfig(model=network_config("gated")(**fields))


@pytest.mark.usefixtures("site")
def test_its_name_leads_to_its_configuration_and_network() -> None:
    assert "gated" in architectures()
    config = configured(channels=4)
    assert from_plain(to_plain(config)) == config
    assert network_modules(config.model) == ["terminator.model.networks.custom", "gated_nets"]
    first, again, other = (
        build(config.model, image_shape=(3, 6, 6), classes=5, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    images = torch.randn(2, 3, 6, 6)
    assert torch.equal(first(images).logits, again(images).logits)
    assert not torch.equal(first(images).logits, other(images).logits)
    assert sum(each.numel() for each in first.parameters()) == 2 * 4 * (27 + 1) + 5 * (4 + 1)


def test_its_source_is_in_the_key(site: Path) -> None:
    before = run_key.code_hash(configured())
    (site / "gated_nets.py").write_text(EXAMPLE["gated_nets.py"] + "\nedited = 1\n")
    forget()
    assert run_key.code_hash(configured()) != before


def test_its_source_is_in_the_key_where_an_import_hook_finds_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hook:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            return spec_from_file_location(name, site / "away" / "gated_nets.py") if name == "gated_nets" else None

    (site / "away").mkdir()
    (site / "gated_nets.py").rename(site / "away" / "gated_nets.py")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook])
    assert run_key.source_files(configured())["gated_nets"] == site / "away" / "gated_nets.py"


@pytest.mark.parametrize(
    ("points", "name", "message"),
    [
        ("resnet = nets", "resnet", "resnet: the suite, nets have a network of this name; uninstall one"),
        ("gated = nets", "gated", "gated: gated_nets, nets have a network of this name; uninstall one"),
        ("other = nets", "other", "other: nets, its entry point .*, cannot be used: No module named 'nets'"),
        ("other = my_nets", "other", "other: my_nets, .* cannot be used: module 'my_nets' has no attribute 'Config'"),
        ("other = gated_nets", "other", "other: gated_nets, .* must be a dataclass, a subclass of .* 'other'"),
    ],
)
def test_an_entry_point_that_cannot_be_used(site: Path, points: str, name: str, message: str) -> None:
    install(site / "more", points, "rival")
    (site / "more" / "rival-1.0.dist-info").rename(site / "rival-1.0.dist-info")
    forget()
    with pytest.raises(UserError, match=rf"^model(\.architecture)?={message}"):
        network_config(name)
    assert module_of("terminator").endswith(".terminator")  # and nothing else is disturbed


@pytest.mark.usefixtures("site")
def test_model_takes_its_name_and_checks_its_keys() -> None:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        choices = GlobalHydra.instance().config_loader().get_group_options("model")
        assert {"gated", "tiny"} <= set(choices)
        assert "gated_schema" not in choices
        config = typed(compose("config", ["model=gated", "model.channels=4"], return_hydra_config=True)).run_config()
        assert config.model == network_config("gated")(channels=4)  # type: ignore[call-arg]
        with pytest.raises(ConfigCompositionException, match="chanels"):
            compose("config", ["model=gated", "model.chanels=4"])


@pytest.mark.usefixtures("site")
def test_data_have_their_own_fields_and_are_read_by_their_module() -> None:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        assert "stripes" in GlobalHydra.instance().config_loader().get_group_options("data")
        words = ["data=stripes", "recipe=digits", "data.noise=2"]
        config = typed(compose("config", words, return_hydra_config=True)).run_config()
        with pytest.raises(ConfigCompositionException, match="nosie"):
            compose("config", ["data=stripes", "recipe=digits", "data.nosie=2"])
    assert from_plain(to_plain(config)) == config
    quiet, noisy = load(replace(config.data, noise=0.5)), load(config.data)  # type: ignore[call-arg]
    assert [len(split) for split in (noisy.train, noisy.validation, noisy.test)] == [900, 100, 200]
    assert noisy.std > quiet.std
    assert fingerprint(config.data) == "generated"


def test_the_source_of_data_is_in_the_key(site: Path) -> None:
    config = RunConfig(data=data_config("stripes")())
    before = run_key.code_hash(config)
    (site / "stripe_data.py").write_text(EXAMPLE["stripe_data.py"].replace("sin()", "cos()"))
    forget()
    assert run_key.code_hash(config) != before


def test_a_format_that_nobody_reads() -> None:
    choices = "digits, folder, hub, mnist1d, pathfinder"
    with pytest.raises(UserError, match=rf"^data.format=hbu: no such format; choose from {choices}$"):
        data_config("hbu")
