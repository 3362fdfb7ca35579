"""A run's whole configuration: one frozen, typed object, and its plain form in records."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from terminator.data.config import DataConfig
from terminator.errors import UserError
from terminator.model.comparison_config import ContinuousKernelConfig, LargeKernelConfig, ResNetConfig
from terminator.model.config import Architecture, ModelConfig, TerminatorConfig
from terminator.training.config import ObjectiveConfig, OptimizerConfig, TrainingConfig

NOT_IN_KEY = {"in_key": False}

MODELS: dict[Architecture, type[ModelConfig]] = {
    Architecture.terminator: TerminatorConfig,
    Architecture.resnet: ResNetConfig,
    Architecture.large_kernel_cnn: LargeKernelConfig,
    Architecture.ckcnn: ContinuousKernelConfig,
}


class Device(Enum):
    """Where to compute; `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class MachineConfig:
    """Where a run computes: no part of its key. `threads`: CPU threads, None for torch's own choice."""

    device: Device = Device.auto
    threads: int | None = None


@dataclass(frozen=True)
class RunConfig:
    """One training run. Raises UserError where the model's word and fields are of two families."""

    model: ModelConfig = field(default_factory=TerminatorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    machine: MachineConfig = field(default_factory=MachineConfig, metadata=NOT_IN_KEY)

    def __post_init__(self) -> None:
        word = self.model.architecture
        if type(self.model) is not MODELS[word]:
            raise UserError(f"model.architecture={word.value}: goes with another family's fields; choose by model=")


def to_plain(value: Any, *, key_only: bool = False) -> Any:
    """A configuration as dicts, lists and words. With `key_only`, without the fields that cannot change a result."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_plain(getattr(value, f.name), key_only=key_only)
            for f in fields(value)
            if not key_only or f.metadata.get("in_key", True)
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_plain(item, key_only=key_only) for item in value]
    return value


def schema(kind: type[Any]) -> DictConfig:
    """A configuration class as OmegaConf's typed node. It can be merged into, though the class is frozen.

    A run's model has only the fields that all families share, until a family's own schema is merged into it.
    """
    node: DictConfig = OmegaConf.structured(kind)
    _unlock(node)
    if issubclass(kind, RunConfig):
        node.model = schema(ModelConfig)
    return node


def _unlock(node: DictConfig | ListConfig) -> None:
    OmegaConf.set_readonly(node, None)
    for child in node.values() if isinstance(node, DictConfig) else node:
        if isinstance(child, (DictConfig, ListConfig)):
            _unlock(child)


def from_plain(plain: dict[str, Any]) -> RunConfig:
    """The inverse of `to_plain`. Raises omegaconf's errors, naming the key, where `plain` is no run configuration."""
    family = OmegaConf.merge(schema(ModelConfig), {"architecture": plain["model"]["architecture"]})
    model = schema(MODELS[family.architecture])
    config = OmegaConf.to_object(OmegaConf.merge(schema(RunConfig), {"model": model}, plain))
    assert isinstance(config, RunConfig)
    return config
