"""Hydra, set up as the command line sets it up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from terminator.config import shipped
from terminator.ledger import Provenance, provenance
from terminator.planning.compose import Composer
from terminator.planning.plan import Plan, Planner
from terminator.planning.settings import register_schemas


@pytest.fixture(scope="session")
def hydra() -> tuple[ConfigLoader, DictConfig]:
    """What the command line hands over: Hydra's loader, and the configuration without overrides."""
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        return GlobalHydra.instance().config_loader(), compose("config", return_hydra_config=True)


@pytest.fixture
def loader(hydra: tuple[ConfigLoader, DictConfig]) -> ConfigLoader:
    return hydra[0]


@pytest.fixture
def master(hydra: tuple[ConfigLoader, DictConfig]) -> DictConfig:
    return hydra[1]


@pytest.fixture(scope="session")
def composer(hydra: tuple[ConfigLoader, DictConfig]) -> Composer:
    """One for all tests, as it remembers what Hydra has composed."""
    return Composer(*hydra)


@pytest.fixture(scope="session")
def origin() -> Provenance:
    return provenance()


@pytest.fixture
def planner(composer: Composer, origin: Provenance) -> Planner:
    return Planner(composer, origin, ["command"])


@pytest.fixture
def plan(planner: Planner) -> Callable[..., Plan]:
    """A plan of one seed: `plan("gating", "model.width=2")`."""
    return lambda name, *overrides: planner.ablations([name], overrides, [0])
