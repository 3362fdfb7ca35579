"""A short fault injection; `make storm` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.slurm.conftest import require_slurm, running_cluster
from tests.slurm.storm import (
    LOSES_NODES_SOON,
    FaultInjector,
    compare,
    disturb,
    kill_hook,
    run_undisturbed,
    small_disk,
    words,
)


def test_faults_on_slurm_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_slurm()
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm" / "slurm.conf"))
    sweep = words(tmp_path / "configs", (3,), 16)
    run_undisturbed(tmp_path / "undisturbed", (*sweep, "sweep.workers=2"))
    with running_cluster(tmp_path / "slurm", *LOSES_NODES_SOON) as cluster, small_disk(tmp_path / "root") as root:
        injector = FaultInjector(root, (*sweep, "cluster=dev"), kill_hook(tmp_path), random.Random(3), cluster)
        disturb(injector, tmp_path / "undisturbed", faults=9, minutes=1.5)
        wrong = compare(injector, tmp_path / "undisturbed", "on SLURM")
    assert wrong == [], capsys.readouterr().out
    assert injector.faults["node lost"] == 1
