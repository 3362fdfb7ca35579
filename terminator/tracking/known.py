"""What MLflow has already."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SECONDS_FOR_LOCK = 20.0


class Place(NamedTuple):
    """Which run of MLflow's is which: an experiment, and three of the run's tags."""

    experiment: str
    run_key: str
    variant: str
    seed: str


@dataclass(frozen=True)
class Known:
    """One of MLflow's runs. `deleted`: by the user, in MLflow."""

    run_id: str
    status: str
    tags: Mapping[str, str]
    deleted: bool

    def place(self, experiment: str) -> Place:
        """Where it belongs."""
        return Place(experiment, *(self.tags.get(name, "") for name in Place._fields[1:]))


def read_known(path: Path) -> dict[Place, Known]:
    """The runs in MLflow's sqlite file; of several in one place, the oldest.

    Read-only SQL, as importing mlflow only to find that there is nothing to write would take seconds.
    Raises sqlite3.Error.
    """
    if not path.exists():
        return {}
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SECONDS_FOR_LOCK)
    ) as database:
        tags: dict[str, dict[str, str]] = defaultdict(dict)
        for run_id, name, value in database.execute("select run_uuid, key, value from tags"):
            tags[run_id][name] = value
        rows = database.execute(
            "select experiments.name, run_uuid, status, runs.lifecycle_stage from runs "
            "join experiments on runs.experiment_id = experiments.experiment_id order by start_time"
        )
        known: dict[Place, Known] = {}
        for experiment, run_id, status, stage in rows:
            run = Known(run_id, status, tags[run_id], deleted=stage != "active")
            known.setdefault(run.place(experiment), run)
    return known
