"""The networks, one file each: its configuration class, as `Config`, and `build(config, *, image_shape, classes,
generator)`, which returns a module from images to `Output` that has a `penalty()`. There is no other registration.

Installed packages add networks by entry points of the group `terminator.models`, each a name and a module with `Config`
and `build(config, *, image_shape, classes)`, which returns any torch.nn.Module from images to logits (see custom.py).
"""

from __future__ import annotations

import functools
import pkgutil
from importlib import import_module
from importlib.metadata import entry_points

from terminator.errors import UserError
from terminator.model.config import ModelConfig, TerminatorConfig

ENTRY_POINTS = "terminator.models"


def architectures() -> list[str]:
    """The networks there are, by the names of their files or entry points."""
    return sorted({*_own(), *installed()})


def network_config(architecture: str) -> type[ModelConfig]:
    """The configuration class of a network. Raises UserError where there is no such network, or an entry point names
    no module with a configuration of that name."""
    if architecture == TerminatorConfig.architecture:
        return TerminatorConfig  # without its network, which would import torch
    module_of(architecture)
    if architecture not in (packaged := installed()):
        return import_module(module_of(architecture)).Config  # type: ignore[no-any-return]
    (module,) = packaged[architecture]
    where = f"model={architecture}: {module}, its entry point in {ENTRY_POINTS},"
    try:
        config, _ = import_module(module).Config, import_module(module).build
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where} cannot be used: {error}") from error
    if not (isinstance(config, type) and issubclass(config, ModelConfig) and config.architecture == architecture):
        rule = f"must be a dataclass, a subclass of terminator.model.config.ModelConfig, architecture {architecture!r}"
        raise UserError(f"{where} cannot be used: its Config {rule}")
    return config


def network_modules(config: ModelConfig) -> list[str]:
    """The modules (dotted names) whose import closure decides what the network computes."""
    packaged = installed().get(config.architecture, ())
    return [module_of(config.architecture), *config.outside_modules(), *packaged]


def module_of(architecture: str) -> str:
    """The dotted name of the file that builds a network. Raises UserError, with the choices, where there is no such
    network, and for a name that two have."""
    if architecture not in (choices := architectures()):
        raise UserError(f"model.architecture={architecture}: no such network; choose from {', '.join(choices)}")
    own, packaged = architecture in _own(), installed().get(architecture, ())
    if own + len(packaged) > 1:
        rivals = ", ".join([*(["the suite"] if own else []), *packaged])
        raise UserError(f"model.architecture={architecture}: {rivals} have a network of this name; uninstall one")
    return f"{__name__}.{architecture if own else 'custom'}"


@functools.cache
def installed() -> dict[str, tuple[str, ...]]:
    """The networks of installed packages: the modules that entry points of each name give, one unless names clash."""
    found: dict[str, set[str]] = {}
    for point in entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, set()).add(point.value)
    return {name: tuple(sorted(modules)) for name, modules in found.items()}


def _own() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(__path__)]
