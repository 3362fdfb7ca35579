from __future__ import annotations

from dataclasses import asdict, fields

from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf

from terminator.cluster.launcher import SlurmLauncherConfig, profile_from_launcher
from terminator.cluster.profile import ClusterProfile


def test_hydras_keys_become_a_profile() -> None:
    launcher = SlurmLauncherConfig(
        partition="gpu",
        timeout_min=90,
        mem_gb=4,
        gpus_per_node=1,
        max_num_timeout=3,
        signal_delay_s=60,
        mem_per_cpu="2G",
        setup=["module load cuda"],
        additional_parameters={"mail-type": "END"},
    )
    assert profile_from_launcher(asdict(launcher)) == ClusterProfile(
        partition="gpu",
        timeout_min=90,
        memory_gb=4,
        gpus_per_node=1,
        max_timeouts=3,
        signal_delay_s=60,
        setup=["module load cuda"],
        sbatch={"mem-per-cpu": "2G", "mail-type": "END"},
    )


def test_the_defaults_are_those_of_a_profile() -> None:
    assert profile_from_launcher(asdict(SlurmLauncherConfig())) == ClusterProfile()


def test_every_key_of_hydras_launcher_is_known() -> None:
    assert {each.name for each in fields(SlurmLauncherConfig)} == {each.name for each in fields(SlurmQueueConf)}
