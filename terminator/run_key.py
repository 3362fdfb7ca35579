"""The name of a run: a hash of all that its result depends on, and of nothing else.

That is its configuration, the images and labels it reads, and the code that computes it: the import closure of its
network, of its data's format and of the training. A new network, another figure or a reworded progress bar changes no
key; comments, formatting and docstrings never do.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from terminator.config import RunConfig, to_plain
from terminator.data.config import data_module
from terminator.ledger import digest
from terminator.ledger.provenance import substance
from terminator.model.networks import network_modules

PACKAGE = Path(__file__).resolve().parent
# What computes. Configuration is in the key by its values; messages, progress, ledger and tracking change no number.
COMPUTES = ("terminator.model", "terminator.data", "terminator.training")
ENTRY = ("terminator.training.loop", "terminator.data.load")


def run_key(config: RunConfig) -> str:
    """16 hexadecimal digits. Raises UserError where the run's images are not on this machine."""
    from terminator.data.load import fingerprint  # imports PyTorch, which `sweeps status` has no need of

    plain = to_plain(config, key_only=True)
    return digest({"config": plain, "code": code_hash(config), "data": fingerprint(config.data)})


def code_hash(config: RunConfig) -> str:
    """A hash of the code that computes this run's result: 16 hexadecimal digits."""
    return _hash(_roots(config))


def source_files(config: RunConfig) -> dict[str, Path]:
    """The modules that this run's result depends on, sorted, each with its file; a user's own are among them."""
    return dict(_closure(_roots(config)))


def _roots(config: RunConfig) -> tuple[str, ...]:
    return (*network_modules(config.model), data_module(config.data.format), *ENTRY)


@functools.cache
def _hash(roots: tuple[str, ...]) -> str:
    sha = hashlib.sha256()
    for name, path in _closure(roots).items():
        sha.update(f"{name}\0{_read(path)[0]}\0".encode())
    return sha.hexdigest()[:16]


@functools.cache
def _closure(roots: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = [(name, _find(name) or _origin(name)) for name in roots]
    while waiting:
        name, path = waiting.pop()
        if path is None or name in found:
            continue
        found[name] = path
        parent = name.rpartition(".")[0]
        imported = _absolute(_read(path)[1], name, path)
        waiting += [(each, _find(each)) for each in (parent, *imported) if _is_followed(each)]
    return dict(sorted(found.items()))


@functools.cache
def _read(path: Path) -> tuple[str, list[ast.Import | ast.ImportFrom]]:
    """The file's code without comments and docstrings, and what it imports at run time, also inside functions."""
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    imports: list[ast.Import | ast.ImportFrom] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imports.append(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return substance(tree), imports


def _absolute(imports: list[ast.Import | ast.ImportFrom], module: str, path: Path) -> Iterator[str]:
    """Names that may be modules: of `from package import name`, both."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [base])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_followed(name: str) -> bool:
    if name.partition(".")[0] == PACKAGE.name:
        return name.startswith(COMPUTES)
    return not _is_installed(name.partition(".")[0])


@functools.cache
def _is_installed(name: str) -> bool:
    """Whether a top-level module comes with Python or from a package index: its version is recorded, not its code."""
    if not name or name in sys.stdlib_module_names:
        return True
    folder = next((folder for folder in map(Path, sys.path) if _file(folder, name) or (folder / name).is_dir()), None)
    return folder is None or any(folder.glob("*.dist-info"))


@functools.cache
def _find(name: str) -> Path | None:
    """The module's file, found without importing it; None for a package without one and for what is no module."""
    if name.partition(".")[0] == PACKAGE.name:
        return _file(PACKAGE.parent, name)
    return next(filter(None, (_file(Path(folder), name) for folder in sys.path)), None)


def _origin(name: str) -> Path | None:
    """The file of a module that an import hook finds, as of a package that is installed in editable mode."""
    with suppress(ImportError):
        if (spec := find_spec(name)) and spec.origin and spec.origin.endswith(".py"):
            return Path(spec.origin)
    return None


def _file(folder: Path, name: str) -> Path | None:
    place = folder.joinpath(*name.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)
