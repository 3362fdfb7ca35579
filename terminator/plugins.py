"""Networks and data sets of installed packages: entry points of the groups `terminator.models` and `terminator.data`.

Each is a name and a module with a configuration class, `Config`, and the functions that its group asks for.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

from terminator.errors import UserError

Base = TypeVar("Base")


@functools.cache
def installed(group: str) -> dict[str, tuple[str, ...]]:
    """The modules that entry points of each name give, sorted: one unless names clash."""
    found: dict[str, set[str]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, set()).add(point.value)
    return {name: tuple(sorted(modules)) for name, modules in found.items()}


def check_name(group: str, name: str, own: Sequence[str], *, key: str, what: str) -> None:
    """Raises UserError, which begins with `key`, where neither the suite (`own`) nor a package has such a `what`, with
    the choices, and for a name that two have."""
    packaged = installed(group)
    if name not in own and name not in packaged:
        choices = ", ".join(sorted({*own, *packaged}))
        raise UserError(f"{key}={name}: no such {what}; choose from {choices}")
    rivals = [*(["the suite"] if name in own else []), *packaged.get(name, ())]
    if len(rivals) > 1:
        raise UserError(f"{key}={name}: {', '.join(rivals)} have a {what} of this name; uninstall one")


def packaged_config(
    group: str, name: str, base: type[Base], *, key: str, field: str, functions: Sequence[str]
) -> type[Base]:
    """The `Config` of the module that this entry point names: a subclass of `base`, whose `field` is the name.

    Raises UserError, which begins with `key`, where the module lacks one of `functions`, or has no such class.
    """
    (module,) = installed(group)[name]
    where = f"{key}={name}: {module}, its entry point in {group},"
    try:
        loaded = import_module(module)
        config, *_ = [getattr(loaded, each) for each in ("Config", *functions)]
    except (ImportError, AttributeError) as error:
        raise UserError(f"{where} cannot be used: {error}") from error
    if not (isinstance(config, type) and issubclass(config, base) and getattr(config, field) == name):
        rule = f"must be a dataclass, a subclass of {base.__module__}.{base.__name__}, {field} {name!r}"
        raise UserError(f"{where} cannot be used: its Config {rule}")
    return config
