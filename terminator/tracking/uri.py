"""Where an MLflow store is: its tracking URI."""

from __future__ import annotations

import re
from pathlib import Path

from terminator.errors import UserError

SQLITE = "sqlite:///"
SERVERS = ("http://", "https://")
DATABASES = ("postgresql", "mysql", SQLITE)
INSTEAD_OF_PASSWORD = {  # what the libraries below MLflow read
    "postgresql": "set PGPASSWORD, or keep it in ~/.pgpass",
    "mysql": "keep it in an option file and end the URI in ?read_default_file=FILE",
    "http": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
}


def checked_uri(uri: str | None) -> str | None:
    """The tracking URI, with a sqlite file's path made absolute, for MLflow would read it from any current folder.

    Raises UserError for what is no tracking URI, and for one that holds a password: it is kept with the sweep, shown on
    the page and seen in lists of processes. MLflow's old store of plain folders is closed, so a path is none.
    """
    if uri is None:
        return None
    if _has_password(uri):
        known = (hint for scheme, hint in INSTEAD_OF_PASSWORD.items() if uri.startswith(scheme))
        hint = next(known, INSTEAD_OF_PASSWORD["http"])
        raise UserError(f"tracking.uri: must not hold a password, which others could read with the sweep; {hint}")
    if not uri.startswith((*SERVERS, *DATABASES)):
        raise UserError(f"tracking.uri={uri}: must begin with http://, https://, sqlite:///, postgresql or mysql")
    path = sqlite_path(uri)
    return uri if path is None else f"{SQLITE}{path.absolute()}"


def _has_password(uri: str) -> bool:
    """Before the host or as an option. For a server a name alone counts as well: it may be a token."""
    rest = uri.partition("://")[2]
    if is_server(uri):
        return "@" in re.split("[/?#]", rest)[0]
    return bool(re.match("[^:/]*:[^@]*@", rest) or re.search("[?&][^=&]*passw(or)?d=", rest, re.IGNORECASE))


def default_uri(root: Path) -> str:
    """The sqlite file in an output root."""
    return f"{SQLITE}{root / 'mlflow.db'}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite URI; None for other stores."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether it is an MLflow server, which keeps artifacts itself."""
    return uri.startswith(SERVERS)
