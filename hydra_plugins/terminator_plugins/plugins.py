"""What Hydra finds of this suite: the sweeper behind `-m`, and where the YAML files and their schemas are.

Hydra loads its plugins into every application of the environment. These change no application but the suite's own.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.errors import CompactHydraException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from terminator.config import schema, shipped
from terminator.planning.settings import group_schema, group_schemas


def is_suite(search_path: ConfigSearchPath) -> bool:
    """Whether the application's own configuration is the suite's conf/."""
    own = [element.path for element in search_path.get_path() if element.provider == "main"]
    return [Path(path.removeprefix("file://")).resolve() for path in own] == [shipped("conf")]


class AblationSweeper(Sweeper):
    """Expands ablations and Hydra's own choices alike into one plan, and runs it.

    `params` as in Hydra's own sweeper: sweep overrides that the command line may replace. In another application it
    raises CompactHydraException, which Hydra prints as one line: a plan is one of the suite's settings.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.task_function: TaskFunction | None = task_function
        self.config = config

    def sweep(self, arguments: Sequence[str]) -> Any:
        assert self.hydra_context is not None
        if not is_suite(self.hydra_context.config_loader.get_search_path()):
            raise CompactHydraException(
                "hydra/sweeper=ablation: sweeps over the configuration of terminator.run alone, which this application "
                "does not have; choose another sweeper"
            )
        from terminator.run.command import run_sweep

        assert self.task_function is not None
        assert self.config is not None
        parameters = [f"{key}={value}" for key, value in self.params.items()]
        return run_sweep(self.hydra_context, self.task_function, self.config, [*parameters, *arguments])


NODE = {"_target_": f"{__name__}.{AblationSweeper.__name__}", "params": None}
ConfigStore.instance().store(group="hydra/sweeper", name="ablation", node=NODE, provider="terminator")


class SuiteSearchPath(SearchPathPlugin):
    """Adds sweeps/ (group `ablation`), slurm/ (`cluster`), the groups' schemas, and a user's --config-dir as OwnFiles.

    Other applications get none of them: they would count as groups of theirs.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if not is_suite(search_path):
            return
        for folder in ("sweeps", "slurm"):
            search_path.append(provider="terminator", path=f"file://{shipped(folder)}")
        search_path.append(provider="terminator", path="terminator://")
        parser = ArgumentParser(add_help=False)
        parser.add_argument("--config-dir", "-cd")
        own, _ = parser.parse_known_args()
        if own.config_dir:  # before Hydra's own entry for it
            search_path.append(provider="terminator", path=f"own://{Path(own.config_dir).absolute()}")


class OwnFiles(FileConfigSource):
    """The place `own://FOLDER` of a search path: a user's files, which need neither `defaults:` nor a package.

    A file without `defaults:` gets its group's schema; the keys of a recipe or an
    experiment are those of the whole configuration.
    """

    @staticmethod
    def scheme() -> str:
        return "own"

    def load_config(self, config_path: str) -> ConfigResult:
        result = super().load_config(config_path)
        group = config_path.partition("/")[0]
        if group in ("recipe", "experiment") and result.header.get("package") is None:
            result.header["package"] = "_global_"
        if isinstance(result.config, DictConfig) and "defaults" not in result.config:
            file: Any = OmegaConf.to_container(result.config)
            if named := group_schema(group, file):
                result.config = OmegaConf.create({"defaults": [f"/{named}@_here_", "_self_"], **file})
        return result


class SchemaSource(ConfigSource):
    """The place `terminator://` of a search path: what YAML files are checked against (`defaults: [data_schema]`), and
    the networks of installed packages.

    Unlike those of a ConfigStore, its schemas are no choices of their groups, in `--help` say.
    """

    @staticmethod
    def scheme() -> str:
        return "terminator"

    def load_config(self, config_path: str) -> ConfigResult:
        if not self.is_config(config_path):
            raise ConfigLoadError(f"{config_path}: no such schema")
        node = schema(group_schemas()[config_path.removesuffix(".yaml")]())
        return ConfigResult(provider=self.provider, path=self.full_path(), config=node, header={"package": None})

    def is_group(self, config_path: str) -> bool:
        return any(name.startswith(f"{config_path.rstrip('/')}/") for name in group_schemas())

    def is_config(self, config_path: str) -> bool:
        return config_path.removesuffix(".yaml") in group_schemas()

    def available(self) -> bool:
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if results_filter is ObjectType.GROUP:
            return []
        places = (name.rpartition("/") for name in group_schemas() if not name.endswith("_schema"))
        return [name for group, _, name in places if group == config_path.rstrip("/")]
