"""Hydra's own tests of Submitit's launchers, with the suite's plugins loaded; quick ones: tests/test_launchers.py."""

from __future__ import annotations

import pytest
from hydra.test_utils.launcher_common_tests import IntegrationTestSuite, LauncherTestSuite

# They set no version_base, for which Hydra warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory"),
    pytest.mark.usefixtures("oldest_hydra_base"),
]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("submitit_slurm", [])])
class TestLauncher(LauncherTestSuite): ...


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [({"defaults": [{"override hydra/launcher": "submitit_slurm"}]}, ["-m"])],
    ids=["submitit_slurm"],
)
class TestApplication(IntegrationTestSuite): ...
