"""The networks, one file each: its configuration class, as `Config`, and `build(config, *, image_shape, classes,
generator)`, which returns a module from images to `Output` that has a `penalty()`. There is no other registration.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from terminator.errors import UserError
from terminator.model.config import ModelConfig, TerminatorConfig


def architectures() -> list[str]:
    """The networks there are, by the names of their files."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def network_config(architecture: str) -> type[ModelConfig]:
    """The configuration class of a network. Raises UserError where there is no such network."""
    if architecture == TerminatorConfig.architecture:
        return TerminatorConfig  # without its network, which would import torch
    config: type[ModelConfig] = import_module(module_of(architecture)).Config
    return config


def network_modules(config: ModelConfig) -> list[str]:
    """The modules (dotted names) whose import closure decides what the network computes."""
    return [module_of(config.architecture), *config.outside_modules()]


def module_of(architecture: str) -> str:
    """The dotted name of a network's file. Raises UserError, with the choices, where there is no such network."""
    if architecture not in (choices := architectures()):
        raise UserError(f"model.architecture={architecture}: no such network; choose from {', '.join(choices)}")
    return f"{__name__}.{architecture}"
