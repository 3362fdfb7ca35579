"""Makes `hydra/launcher=slurm` known to Hydra; the ablation sweeper reads it."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from terminator.cluster.launcher import SlurmLauncherConfig
from terminator.config import schema

ConfigStore.instance().store(
    group="hydra/launcher", name="slurm", node=schema(SlurmLauncherConfig), provider="terminator"
)
