"""One message when a sweep ends, through Apprise: mail, chat, webhooks.

Addresses and tokens stay in a configuration file of Apprise's, of which the ledger and the command know the path alone.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from terminator.errors import UserError

HINT = "a text or YAML file for Apprise, with an address a line: https://github.com/caronc/apprise/wiki/config"


def checked_file(given: str | None) -> str | None:
    """The configuration file, absolute. Raises UserError where no message could be sent with it; it never repeats
    what may hold a token."""
    if given is None:
        return None
    if "://" in given:
        raise UserError(f"sweep.notify: must be a file, as others could read an address and its token; {HINT}")
    path = Path(given).expanduser().absolute()
    _services(path)
    return str(path)


def send(file: str, title: str, text: str) -> str | None:
    """Send a message to every service in the file. Returns what went wrong, in a line."""
    try:
        services = _services(Path(file))
    except UserError as error:
        return str(error)
    lost = [str(each.service_name) for each in services if not _notify(each, title, text)]
    return f"sweep.notify={file}: no message to {', '.join(lost)}, which did not take it" if lost else None


def _notify(service: Any, title: str, text: str) -> bool:
    try:
        with _unheard():
            return bool(service.notify(body=text, title=title))
    except Exception:  # of the library that a service uses; its words may hold the address
        return False


def _services(path: Path) -> list[Any]:
    """The file's services. Raises UserError where there is none, and for a line that Apprise does not understand."""
    try:
        apprise = import_module("apprise")
    except ImportError:
        raise UserError(f"sweep.notify={path}: needs Apprise: pip install 'terminator-ablations[notify]'") from None
    try:
        content = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"sweep.notify={path}: cannot be read ({why}); must be {HINT}") from None
    config = apprise.AppriseConfig()
    with _unheard() as complaints, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it uses what Python has deprecated is its own business
        config.add_config(content)
        services = list(apprise.Apprise(config))
    if complaints or not services:
        rule = f"Apprise finds {'no service' if not services else 'lines that it does not understand'} in it"
        raise UserError(f"sweep.notify={path}: {rule}; must be {HINT}")
    return services


@contextmanager
def _unheard() -> Iterator[list[logging.LogRecord]]:
    """Keep what Apprise logs, which may hold what the file holds, from everybody. Yields its warnings and errors."""
    complaints: list[logging.LogRecord] = []

    def drop(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            complaints.append(record)
        return False

    log = logging.getLogger("apprise")
    log.addFilter(drop)
    try:
        yield complaints
    finally:
        log.removeFilter(drop)
