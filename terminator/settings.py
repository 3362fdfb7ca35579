"""Everything the command line can say: a run's configuration, and what surrounds it without changing its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from terminator.cluster.profile import ClusterProfile
from terminator.config import RunConfig, schema
from terminator.data.config import DataConfig
from terminator.errors import UserError
from terminator.ledger import default_root
from terminator.model.build import architectures, network_config


class Match(Enum):
    """The budget to which each variant gets a twin, widened or narrowed to the baseline's."""

    parameters = "parameters"
    flops = "flops"


class DataKind(Enum):
    """What kind of data an ablation asks about."""

    image = "image"
    sequence = "sequence"


@dataclass(frozen=True)
class AblationConfig:
    """One ablation file (sweeps/ablation/*.yaml): a question, a baseline, and variants as named sets of overrides.

    Generators add variants to the listed ones. `leave_one_out` and `add_one_in` map a key to the value that switches
    it off; the others map a key to the values it takes. A variant is a mapping from configuration keys to values.
    `data_kind`: what the question is about, None for any data; other data are refused.
    """

    question: str = ""
    data_kind: DataKind | None = None
    baseline: str = "full"
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    metric: str = "test_accuracy"
    higher_is_better: bool = True
    smallest_effect: float = 0.005
    match: Match | None = None
    variants: dict[str, Any] = field(default_factory=dict)
    leave_one_out: dict[str, Any] = field(default_factory=dict)
    add_one_in: dict[str, Any] = field(default_factory=dict)
    one_at_a_time: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    zip: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.seeds:
            raise UserError("ablation.seeds=[]: give at least one seed, for instance seed=0,1,2")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"ablation.seeds={self.seeds}: a seed may stand there once")
        if not self.smallest_effect > 0:
            raise UserError(f"ablation.smallest_effect={self.smallest_effect}: must be positive")
        if not self.baseline:
            raise UserError("ablation.baseline='': name the variant that the others are compared with")


@dataclass(frozen=True)
class SweepConfig:
    """How a sweep is carried out. `workers`: processes side by side, None for what the machine has."""

    plan: bool = False
    workers: int | None = None
    wait: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"sweep.workers={self.workers}: must be at least 1")


@dataclass(frozen=True)
class TrackingConfig:
    """Where MLflow is: a tracking URI, or None for a sqlite file under the root."""

    enabled: bool = True
    uri: str | None = None


@dataclass(frozen=True)
class Settings(RunConfig):
    """The root of the configuration tree."""

    root: str = ""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    cluster: Any = None

    def run_config(self) -> RunConfig:
        """The part that makes a run. Its data folder is absolute: a job need not start where the command was typed."""
        config = RunConfig(**{f.name: getattr(self, f.name) for f in fields(RunConfig)})
        if config.data.folder is None:
            return config
        return replace(config, data=replace(config.data, folder=str(Path(config.data.folder).expanduser().absolute())))

    def root_folder(self) -> Path:
        """The output root: `root=`, else TERMINATOR_ROOT, else ./outputs. Absolute."""
        return default_root(self.root)


# What a group's YAML files are checked against: they name it in their defaults. Looked up when asked for, since most
# networks' import torch.
GROUP_SCHEMAS: dict[str, Callable[[], type[Any]]] = {
    **{f"model/{architecture}_schema": partial(network_config, architecture) for architecture in architectures()},
    "data/data_schema": lambda: DataConfig,
    "cluster/profile_schema": lambda: ClusterProfile,
}


def register_schemas() -> None:
    """Make the typed configuration known to Hydra; the plugin SchemaSource makes known those of the groups."""
    ConfigStore.instance().store(name="settings_schema", node=schema(Settings), provider="terminator")
