"""The name of a run: a hash of all that can change its result, which is its configuration and the code it runs."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
COMPUTES = ("model", "data", "training")  # the subpackages a result depends on


def run_key(key_config: dict[str, Any], code: str) -> str:
    """16 hexadecimal digits. `key_config`: `to_plain(config, key_only=True)`; `code`: a `code_hash`."""
    canonical = json.dumps({"config": key_config, "code": code}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def code_hash(package: Path = PACKAGE) -> str:
    """Hash of the computing code under `package`, the same whatever its comments, formatting and docstrings say."""
    digest = hashlib.sha256()
    for folder in COMPUTES:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(package).as_posix()}\0{_substance(path)}\0".encode())
    return digest.hexdigest()[:16]


def _substance(path: Path) -> str:
    tree = ast.parse(path.read_text("utf-8"), filename=str(path))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
