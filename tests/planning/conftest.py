"""Hydra, set up as the command line sets it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra

from terminator.config import shipped
from terminator.ledger import Provenance, provenance
from terminator.planning.compose import Composer
from terminator.planning.plan import Plan, Planner
from terminator.planning.settings import register_schemas


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    GlobalHydra.instance().clear()
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture(scope="module")
def composer(loader: ConfigLoader) -> Composer:
    """One for a module, as it remembers what Hydra has composed."""
    return Composer(loader, compose("config", return_hydra_config=True))


@pytest.fixture(scope="module")
def origin() -> Provenance:
    return provenance()


@pytest.fixture
def planner(composer: Composer, origin: Provenance) -> Planner:
    return Planner(composer, origin, ["command"])


@pytest.fixture
def plan(planner: Planner) -> Callable[..., Plan]:
    """A plan of one seed: `plan("gating", "model.width=2")`."""
    return lambda name, *overrides: planner.ablations([name], overrides, [0])
