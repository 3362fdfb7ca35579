"""Files that are whole or not there: written under another name, then renamed or linked into place. Rows, and locks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from terminator.errors import UserError
from terminator.ledger.provenance import is_alive, this_process
from terminator.text import counted

SCHEMA = 1
TEMPORARY = re.compile(r"\..+\.tmp-([^~]+)~(\d+)~(.*)~[^~]+")  # with its writer's host, process and start
Writer = tuple[str | None, int | None, str | None]  # a process: host, id and start
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


def lock_file(path: Path) -> Path:
    """Make the file of a lock, and return its path: for those who may write in its folder.

    Whoever can open the file can hold the lock, so it has a mode like its folder's, but that who may not write may not
    read either. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.stat()
    writers = folder.st_mode & 0o222
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with contextlib.suppress(PermissionError):  # it is another's, who has done this
            os.fchown(descriptor, -1, folder.st_gid)
            os.fchmod(descriptor, writers | writers << 1 | 0o600)
    finally:
        os.close(descriptor)
    return path


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
    """Rename a damaged file to `<name>.corrupt-<n>`, warn, and return the new path."""
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


def row_line(row: dict[str, Any]) -> str:
    """A row of metrics.jsonl as it stands in the file."""
    return json.dumps(row, separators=(",", ":")) + "\n"


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row; it has reached the disk when this returns."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(row_line(row))
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl in order; none where there is no file.

    A last line without its end is still being written, and left out. A file with damaged lines is set aside, and the
    intact rows take its place.
    """
    try:
        text = path.read_text("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    lines = text.split("\n")[:-1]
    try:
        rows = json.loads(f"[{','.join(lines)}]")
        if len(rows) == len(lines) and all(isinstance(row, dict) and "epoch" in row for row in rows):
            return list(rows)
    except ValueError:
        pass
    rows = [row for each in lines if (row := _row(each)) is not None]
    aside = set_aside(path, f"{len(lines) - len(rows)} of {counted(len(lines), 'line')}")
    if aside != path:
        write(path, "".join(row_line(row) for row in rows))
    return rows


def _row(text: str) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "epoch" in row else None


def temporary_path(path: Path) -> Path:
    """A name beside `path` for what will take its place. It tells whose it is: see `remove_left_behind`."""
    host, pid, started = this_process()
    writer = f"{host}~{pid}~{started.replace('/', '~')}"
    return path.with_name(f".{path.name}.tmp-{writer}~{secrets.token_hex(4)}")


def remove_left_behind(folders: Iterable[Path], dead: Callable[[], Collection[Writer]] = tuple) -> None:
    """Remove temporary files and folders whose process was killed: one that ended on this machine, or of `dead`.

    Of a process that nobody can tell about they stay, and so does what may not be removed.
    """
    found = [(path, writer) for folder in folders for path, writer in _temporaries(folder)]
    known = dead() if found else ()
    for path, writer in found:
        if writer in known or is_alive(*writer) is False:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _temporaries(folder: Path) -> Iterator[tuple[Path, Writer]]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if (match := TEMPORARY.fullmatch(name)) is not None:
            host, pid, started = match.groups()
            yield folder / name, (host, int(pid), started.replace("~", "/"))


def _temporary(path: Path, text: str) -> Path:
    temporary = temporary_path(path)
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
