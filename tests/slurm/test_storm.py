"""A short storm; `make storm` runs the long one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.slurm.conftest import require_slurm
from tests.slurm.storm import Storm, calm, dev_cluster, hook, rage, report, small_disk, words


def test_a_short_storm_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_slurm()
    sweep = words((3,), 16)
    calm(tmp_path / "calm", (*sweep, "sweep.workers=2"))
    with dev_cluster(tmp_path / "slurm") as cluster, small_disk(tmp_path / "there") as root:
        storm = Storm(root, (*sweep, "cluster=dev"), hook(tmp_path), random.Random(3), cluster)
        rage(storm, tmp_path / "calm", blows=9, minutes=1.5, disasters=False)
        wrong = report(storm, tmp_path / "calm", "a short storm")
    assert wrong == [], capsys.readouterr().out
    assert storm.blows.total() > 0
