"""All that the command line can set: a run's configuration, and what surrounds it without changing its result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from terminator.cluster.profile import ClusterProfile
from terminator.config import Protocol, RunConfig, schema
from terminator.data.config import ENTRY_POINTS as DATA
from terminator.data.config import FORMATS, DataConfig, FolderConfig, data_config
from terminator.errors import UserError
from terminator.ledger import default_root
from terminator.model.config import TerminatorConfig
from terminator.model.networks import ENTRY_POINTS as MODELS
from terminator.model.networks import architectures, module_of, network_config
from terminator.planning.ablation import AblationConfig
from terminator.plugins import installed


@dataclass(frozen=True)
class SweepConfig:
    """How a sweep is carried out.

    `plan`: print the plan and run nothing; `json`: as JSON. `workers`: processes side by side, None for what the
    machine has. `wait`: stay until the jobs of a cluster have ended. `looks`: stop after so many looks; `budget_min`:
    start no more runs after so many minutes; None goes on until every row is decided or the last look is made.
    `notify`: an Apprise configuration file, whose services get a message when the sweep ends.
    """

    plan: bool = False
    json: bool = False
    workers: int | None = None
    wait: bool = False
    looks: int | None = None
    budget_min: float | None = None
    notify: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"sweep.workers={self.workers}: must be at least 1")
        if self.looks is not None and self.looks < 1:
            raise UserError(f"sweep.looks={self.looks}: must be at least 1")
        if self.budget_min is not None and not self.budget_min > 0:
            raise UserError(f"sweep.budget_min={self.budget_min:g}: must be above 0 minutes")
        if self.json and not self.plan:
            raise UserError("sweep.json=true: only with sweep.plan=true; `report --json` shows results")


@dataclass(frozen=True)
class TrackingConfig:
    """Where MLflow is: a tracking URI without a password, or None for a sqlite file under the root."""

    enabled: bool = True
    uri: str | None = None


@dataclass(frozen=True)
class Settings(RunConfig):
    """The root of the configuration tree. `cluster`: a ClusterProfile where one was chosen, else None."""

    root: str = ""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    cluster: Any = None

    @property
    def notify(self) -> str | None:
        """The file that `sweep.notify` names, else the cluster profile."""
        return self.sweep.notify or (self.cluster.notify if isinstance(self.cluster, ClusterProfile) else None)

    def run_config(self) -> RunConfig:
        """The part that makes a run, with the shape and classes of a user's own data.

        Its data folder is absolute: a job need not start where the command was typed. Raises UserError where the data
        are not as they must be.
        """
        config = RunConfig(**{f.name: getattr(self, f.name) for f in fields(RunConfig)})
        data = config.data
        if data.folder is not None:
            data = replace(data, folder=str(Path(data.folder).expanduser().absolute()))
        if isinstance(data, FolderConfig):
            from terminator.data.folder import resolve  # it imports torch, which Hydra's plugins are to do without

            hold_out = self.training.protocol is Protocol.holdout
            data = resolve(data, batch_size=self.training.batch_size, hold_out=hold_out)
        return replace(config, data=data)

    def root_folder(self) -> Path:
        """The output root: `root=`, else TERMINATOR_ROOT, else ./outputs. Absolute."""
        return default_root(self.root)


@functools.cache
def group_schemas() -> dict[str, Callable[[], type[Any]]]:
    """What a group's YAML files are checked against, `GROUP/NAME_schema`: they name it in their defaults. And the
    networks and data of installed packages, which are choices without a file."""
    networks = {f"model/{name}_schema": partial(network_config, name) for name in architectures()}
    formats = [*(kind for kind in FORMATS if data_config(kind) is not DataConfig), *installed(DATA)]
    data = {f"data/{kind}_schema": partial(data_config, kind) for kind in formats}
    models = {f"model/{name}": partial(network_config, name) for name in installed(MODELS)}
    sets = {f"data/{name}": partial(data_config, name) for name in installed(DATA)}
    others = {"data/data_schema": lambda: DataConfig, "cluster/profile_schema": lambda: ClusterProfile}
    return {**networks, **data, **models, **sets, **others}


def group_schema(group: str, file: Mapping[str, Any]) -> str | None:
    """What a file of the group is checked against; None where its place in `Settings` is typed already.

    Raises UserError for a model's file that names a network which there is not.
    """
    if group == "model":
        name = file.get("architecture") or ("custom" if "target" in file else TerminatorConfig.architecture)
        module_of(name)
        return f"model/{name}_schema"
    if group == "data":
        name = f"data/{file.get('format')}_schema"
        return name if name in group_schemas() else "data/data_schema"
    return "cluster/profile_schema" if group == "cluster" else None


def register_schemas() -> None:
    """Make the typed configuration known to Hydra; the plugin SchemaSource does so for the groups."""
    ConfigStore.instance().store(name="settings_schema", node=schema(Settings), provider="terminator")
