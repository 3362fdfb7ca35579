"""The Hydra sweeper behind `-m`: hands the command line to terminator.planning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# `params` as in Hydra's own sweeper: sweep overrides that the command line may replace.
NODE = {"_target_": "hydra_plugins.terminator_plugins.ablation_sweeper.AblationSweeper", "params": None}

ConfigStore.instance().store(group="hydra/sweeper", name="ablation", node=NODE, provider="terminator")


class AblationSweeper(Sweeper):
    """Expands ablations and Hydra's own choices alike into one plan, and runs it."""

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function: TaskFunction | None = task_function
        self.config = config

    def sweep(self, arguments: Sequence[str]) -> Any:
        from terminator.planning.sweep import run_sweep

        assert self.hydra_context is not None
        assert self.task_function is not None
        assert self.config is not None
        parameters = [f"{key}={value}" for key, value in self.params.items()]
        return run_sweep(self.hydra_context, self.task_function, self.config, [*parameters, *arguments])
