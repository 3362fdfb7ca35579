"""`python -m terminator.run`: train one model; with `-m`, plan and run a sweep."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import hydra
from omegaconf import DictConfig

from terminator.config import shipped
from terminator.planning.compose import INPUT_ERRORS, complaint
from terminator.settings import register_schemas

SHOW_TRACES = os.environ.get("HYDRA_FULL_ERROR") == "1"

register_schemas()


@hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
def _task(config: DictConfig) -> float:
    from terminator.planning.single import run_one

    try:
        return run_one(config)
    except INPUT_ERRORS as error:  # Hydra would put a line of its own before it
        _refuse(error)


def main() -> None:
    """The entry point. Bad input ends with one line on stderr and exit code 2; HYDRA_FULL_ERROR=1 shows the trace."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing a trace of its own
    try:
        _task()
    except INPUT_ERRORS as error:
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    if SHOW_TRACES:
        raise error
    print(f"terminator: {complaint(error)}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
