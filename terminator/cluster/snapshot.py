"""A copy of the package's code, from which a sweep's jobs run: what is edited later changes none of them."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from terminator.errors import UserError
from terminator.ledger import code_hash

PACKAGE = Path(__file__).resolve().parents[1]


def take_snapshot(folder: Path, code: str) -> Path:
    """The folder under `folder` (ROOT/sweeps/<id>/code) with a copy of the package whose code hash is `code`.

    It is the package as it is now, if that computes what `code` did; else the newest copy that does.
    Raises UserError where there is none.
    """
    copies = sorted(folder.glob(f"{code}-*"), key=lambda copy: copy.stat().st_mtime)
    if code_hash(PACKAGE) != code:
        if copies:
            return copies[-1]
        raise UserError(
            f"code={code}: these runs were planned with other code (now {code_hash(PACKAGE)}) and no copy of it was "
            "kept: check that commit out, or run the sweep's command again"
        )
    copy = folder / f"{code}-{_content(PACKAGE)}"
    if copy in copies:
        return copy
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".new-{os.getpid()}-{secrets.token_hex(4)}"
    shutil.copytree(PACKAGE, draft / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    if code_hash(draft / PACKAGE.name) != code:
        shutil.rmtree(draft)
        raise UserError(f"code={code}: the code was edited while the sweep was planned: run the command again")
    try:
        draft.rename(copy)
    except OSError:  # another submission has just made the same copy
        shutil.rmtree(draft)
    return copy


def _content(package: Path) -> str:
    """A hash of every file's name and content."""
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:8]
