"""Gives YAML files the schemas of their groups (`defaults: [data_schema, _self_]`) and lists them nowhere: they are no
choices."""

from __future__ import annotations

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource

from terminator.config import schema
from terminator.settings import GROUP_SCHEMAS


class SchemaSource(ConfigSource):
    """The place `schema://` of Hydra's search path."""

    @staticmethod
    def scheme() -> str:
        return "schema"

    def load_config(self, config_path: str) -> ConfigResult:
        if not self.is_config(config_path):
            raise ConfigLoadError(f"{config_path}: no such schema")
        node = schema(GROUP_SCHEMAS[config_path.removesuffix(".yaml")]())
        return ConfigResult(provider=self.provider, path=self.full_path(), config=node, header={"package": None})

    def is_group(self, config_path: str) -> bool:
        return any(name.startswith(f"{config_path.rstrip('/')}/") for name in GROUP_SCHEMAS)

    def is_config(self, config_path: str) -> bool:
        return config_path.removesuffix(".yaml") in GROUP_SCHEMAS

    def available(self) -> bool:
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        return []
