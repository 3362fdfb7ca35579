"""`python -m terminator.run`: train one model; with `-m`, plan and run a sweep."""

from __future__ import annotations

import os
import sys

import hydra
from omegaconf import DictConfig

from terminator.complaint import INPUT_ERRORS, complaint
from terminator.settings import register_schemas
from terminator.shipped import shipped

register_schemas()


@hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="config")
def _task(config: DictConfig) -> float | None:
    from terminator.planning.single import run_one

    return run_one(config)


def main() -> None:
    """The entry point. Bad input ends with one line on stderr and exit code 2."""
    show_traces = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing a trace of its own
    try:
        _task()
    except INPUT_ERRORS as error:
        if show_traces:
            raise
        print(f"terminator: {complaint(error)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
