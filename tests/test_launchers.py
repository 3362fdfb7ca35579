"""Hydra's own tests of launchers, with the suite's plugins loaded: no launcher behaves differently beside them.

All of them with Submitit's launcher are in tests/slurm/test_launchers.py; here it starts processes of this machine.
"""

from __future__ import annotations

import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import BatchedSweeperTestSuite, IntegrationTestSuite, LauncherTestSuite

# They set no version_base, for which Hydra warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory"),
    pytest.mark.usefixtures("oldest_hydra_base"),
]


def test_the_suites_plugins_are_loaded() -> None:
    assert "AblationSweeper" in [plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)]


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", [])])
class TestLauncher(LauncherTestSuite): ...


@pytest.mark.parametrize(("launcher_name", "overrides"), [("submitit_local", [])])
class TestSubmitit:
    get_task_function = LauncherTestSuite.get_task_function
    test_sweep_2_jobs = LauncherTestSuite.test_sweep_2_jobs
    test_sweep_with_custom_resolver = LauncherTestSuite.test_sweep_with_custom_resolver


@pytest.mark.parametrize(("launcher_name", "overrides"), [("basic", ["hydra.sweeper.max_batch_size=2"])])
class TestBatches(BatchedSweeperTestSuite): ...


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m"])], ids=["basic"])
class TestApplication(IntegrationTestSuite): ...
