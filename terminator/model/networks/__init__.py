"""The networks, one file each: its configuration class, as `Config`, and `build(config, *, image_shape, classes,
generator)`, which returns a module from images to `Output` that has a `penalty()`. There is no other registration.

Installed packages add networks by entry points of the group `terminator.models`, each a name and a module with `Config`
and `build(config, *, image_shape, classes)`, which returns any torch.nn.Module from images to logits (see custom.py).
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.plugins import check_name, installed, packaged_config

ENTRY_POINTS = "terminator.models"


def architectures() -> list[str]:
    """The networks there are, by the names of their files or entry points."""
    return sorted({*_own(), *installed(ENTRY_POINTS)})


def network_config(architecture: str) -> type[ModelConfig]:
    """The configuration class of a network. Raises UserError where there is no such network, or an entry point names
    no module with a configuration of that name."""
    if architecture == TerminatorConfig.architecture:
        return TerminatorConfig  # without its network, which would import torch
    module = module_of(architecture)
    if architecture in installed(ENTRY_POINTS):
        return packaged_config(
            ENTRY_POINTS, architecture, ModelConfig, key="model", field="architecture", functions=["build"]
        )
    return import_module(module).Config  # type: ignore[no-any-return]


def network_modules(config: ModelConfig) -> list[str]:
    """The modules (dotted names) whose import closure decides what the network computes."""
    packaged = installed(ENTRY_POINTS).get(config.architecture, ())
    return [module_of(config.architecture), *config.outside_modules(), *packaged]


def module_of(architecture: str) -> str:
    """The dotted name of the file that builds a network. Raises UserError, with the choices, where there is no such
    network, and for a name that two have."""
    check_name(ENTRY_POINTS, architecture, _own(), key="model.architecture", what="network")
    return f"{__name__}.{architecture if architecture in _own() else 'custom'}"


def _own() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]
