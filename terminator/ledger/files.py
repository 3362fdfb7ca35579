"""Files that are whole or not there: written under another name, then renamed or linked into place."""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from terminator.errors import UserError

SCHEMA = 1
log = logging.getLogger(__name__)
Record = TypeVar("Record")


def write(path: Path, text: str) -> None:
    """Replace `path`: a reader sees the old text or the new, also when the machine dies in between."""
    temporary = _temporary(path, text)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_once(path: Path, text: str) -> bool:
    """Make `path` unless it exists; of many processes at once, one gets True."""
    temporary = _temporary(path, text)
    try:
        os.link(temporary, path)
        return True
    except FileExistsError:
        # NFS may repeat a request whose answer was lost: a second name on our own file means that the link is ours.
        return os.stat(temporary).st_nlink == 2
    finally:
        temporary.unlink(missing_ok=True)


def dumps(plain: Any) -> str:
    """`plain` as the JSON of a record."""
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(path: Path, parse: Callable[[dict[str, Any]], Record]) -> Record | None:
    """The record in `path`; None where there is none. A damaged file is set aside, and then there is none.

    Raises UserError for one that may not be read, or is of a later version of this package: it is not damaged.
    """
    try:
        plain = json.loads(path.read_text("utf-8"))
        if plain.get("schema", SCHEMA) == SCHEMA:
            return parse(plain)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return None
    raise UserError(f"{path}: schema={plain['schema']!r}: this version reads schema {SCHEMA}")


def set_aside(path: Path, why: str) -> Path:
    """Rename a damaged file to `<name>.corrupt-<n>`, say so in one warning, and return the new path."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        pass  # another process has just set it aside
    except OSError as error:
        log.warning("%s is damaged (%s) and cannot be renamed (%s): ignored", path, why, error.strerror)
        return path
    log.warning("%s is damaged (%s): set aside as %s", path, why, aside.name)
    return aside


def _temporary(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    with open(temporary, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return temporary
