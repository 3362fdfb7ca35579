"""`hydra/launcher=slurm`: the keys of Hydra's Submitit launcher, as a cluster profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terminator.cluster.profile import ClusterProfile

RENAMED = {"mem_gb": "memory_gb", "max_num_timeout": "max_timeouts"}
SAME = (
    *("partition", "account", "qos", "constraint", "timeout_min", "nodes", "tasks_per_node", "cpus_per_task"),
    *("array_parallelism", "signal_delay_s"),
)
OPTIONS = ("comment", "exclude", "gres", "cpus_per_gpu", "gpus_per_task", "mem_per_gpu", "mem_per_cpu")


@dataclass(frozen=True)
class SlurmLauncherConfig:
    """`hydra.launcher` for SLURM. Unlike in Hydra's own launcher a job comes back after a time limit by default.

    `submitit_folder`, `name` and `stderr_to_stdout` are known and ignored: the ledger has its own places and names.
    """

    _target_: str = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
    submitit_folder: str | None = None
    name: str | None = None
    stderr_to_stdout: bool = True
    timeout_min: int = 60
    cpus_per_task: int | None = None
    gpus_per_node: int | None = None
    tasks_per_node: int = 1
    mem_gb: float | None = None
    nodes: int = 1
    partition: str | None = None
    qos: str | None = None
    comment: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gres: str | None = None
    cpus_per_gpu: int | None = None
    gpus_per_task: int | None = None
    mem_per_gpu: str | None = None
    mem_per_cpu: str | None = None
    account: str | None = None
    signal_delay_s: int | None = None
    max_num_timeout: int = 100
    additional_parameters: dict[str, Any] = field(default_factory=dict)
    array_parallelism: int = 256
    setup: list[str] | None = None


def profile_from_launcher(launcher: Mapping[str, Any]) -> ClusterProfile:
    """The profile that `hydra.launcher` describes. Raises UserError as ClusterProfile does."""
    options = {name.replace("_", "-"): launcher[name] for name in OPTIONS if launcher[name] is not None}
    return ClusterProfile(
        **{name: launcher[name] for name in SAME},
        **{ours: launcher[theirs] for theirs, ours in RENAMED.items()},
        gpus_per_node=launcher["gpus_per_node"] or 0,
        setup=list(launcher["setup"] or []),
        sbatch={**options, **launcher["additional_parameters"]},
    )
