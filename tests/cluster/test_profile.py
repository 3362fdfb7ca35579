from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from terminator.cluster.profile import ClusterProfile
from terminator.config import shipped
from terminator.errors import UserError
from terminator.planning.settings import Settings, register_schemas


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"timeout_min": 0}, "cluster.timeout_min=0: must be at least 1"),
        ({"nodes": 0}, "cluster.nodes=0: must be at least 1"),
        ({"max_submit": 0}, "cluster.max_submit=0: must be at least 1"),
        ({"gpus_per_node": -1}, "cluster.gpus_per_node=-1: must be at least 0"),
        ({"memory_gb": 0.0}, "cluster.memory_gb=0.0: must be positive"),
        (
            {"timeout_min": 1, "signal_delay_s": 60},
            "cluster.signal_delay_s=60: must be less than the time limit; cluster.timeout_min=1 is 60 seconds",
        ),
    ],
)
def test_a_bad_value_is_named_with_its_rule(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}$"):
        ClusterProfile(**change)


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 15), (4, 60), (8, 120), (600, 120)])
def test_the_signal_comes_two_minutes_before_the_limit_or_in_its_last_quarter(minutes: int, seconds: int) -> None:
    assert ClusterProfile(timeout_min=minutes).signal_delay() == seconds
    assert ClusterProfile(timeout_min=minutes, signal_delay_s=7).signal_delay() == 7


def test_what_sbatch_is_told() -> None:
    profile = ClusterProfile(
        partition="gpu", timeout_min=30, gpus_per_node=2, memory_gb=1.5, sbatch={"mail-type": "END"}
    )
    assert profile.sbatch_parameters() == {
        "partition": "gpu",
        "time": 30,
        "nodes": 1,
        "ntasks_per_node": 1,
        "gpus_per_node": 2,
        "mem": "1536M",
        "array_parallelism": 256,
        "signal_delay_s": 120,
        "additional_parameters": {"mail-type": "END", "requeue": True},
    }
    assert "gpus_per_node" not in ClusterProfile().sbatch_parameters()


def test_a_variant_brings_its_own_resources() -> None:
    profile = ClusterProfile(partition="gpu", memory_gb=8)
    assert profile.with_resources({"memory_gb": 32, "nodes": 2}, "wide") == ClusterProfile("gpu", memory_gb=32, nodes=2)
    with pytest.raises(UserError, match=r"^resources\.wide\.memory: no such key; did you mean memory_gb\? choose "):
        profile.with_resources({"memory": 32}, "wide")


@pytest.mark.parametrize("name", sorted(path.stem for path in (shipped("slurm") / "cluster").glob("*.yaml")))
def test_every_profile_composes(name: str) -> None:
    register_schemas()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        settings = OmegaConf.to_object(compose("config", [f"cluster={name}"]))
    assert isinstance(settings, Settings)
    assert isinstance(settings.cluster, ClusterProfile)
    assert ClusterProfile(**asdict(settings.cluster)) == settings.cluster
