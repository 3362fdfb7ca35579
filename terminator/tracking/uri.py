"""Where MLflow is: the one word for it that the user gives."""

from __future__ import annotations

from pathlib import Path

from terminator.errors import UserError

SQLITE = "sqlite:///"
SERVERS = ("http://", "https://")
DATABASES = ("postgresql", "mysql", SQLITE)


def checked_uri(uri: str | None) -> str | None:
    """The tracking URI, with a sqlite file's path made absolute, for MLflow would read it from any current folder.

    Raises UserError for what is no tracking URI. MLflow's old store of plain folders is closed, so a path is none.
    """
    if uri is None:
        return None
    if not uri.startswith((*SERVERS, *DATABASES)):
        raise UserError(f"tracking.uri={uri}: must begin with http://, https://, sqlite:///, postgresql or mysql")
    path = sqlite_path(uri)
    return uri if path is None else f"{SQLITE}{path.absolute()}"


def default_uri(root: Path) -> str:
    """The sqlite file in an output root."""
    return f"{SQLITE}{root / 'mlflow.db'}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite URI; None for other stores."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether it is an MLflow server, which keeps artifacts itself."""
    return uri.startswith(SERVERS)
