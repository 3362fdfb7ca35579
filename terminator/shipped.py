"""Where the YAML that comes with the suite lies: beside the package in a checkout, inside it in an installed copy."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "shipped"


def shipped(folder: str) -> Path:
    """The folder `conf`, `sweeps` or `slurm` of this copy of the suite."""
    return (_SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent) / folder
