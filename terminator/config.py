"""A run's whole configuration: one frozen, typed object, and its plain form in records."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from terminator.data.config import DataConfig, data_config
from terminator.errors import UserError
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.model.networks import network_config

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "shipped"


def shipped(folder: str) -> Path:
    """The folder `conf`, `sweeps` or `slurm` of this copy of the suite."""
    return (_SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent) / folder


class SlowLoss(Enum):
    """The slow neural loss (§8)."""

    off = "off"
    channel_sum = "channel_sum"
    tile = "tile"


class OptimizerName(Enum):
    """The update rule."""

    kar3 = "kar3"
    kar2 = "kar2"
    adamw = "adamw"
    sgd = "sgd"


BETAS = {OptimizerName.kar3: 2, OptimizerName.kar2: 1, OptimizerName.adamw: 2, OptimizerName.sgd: 1}


class Protocol(Enum):
    """What chooses the epoch that is reported: a held-out split, or, as in the release, the test split (optimistic)."""

    holdout = "holdout"
    release = "release"


class Evaluation(Enum):
    """Whose statistics standardise at evaluation: the evaluation batch's own (release), or the training data's."""

    batch = "batch"
    population = "population"


class Precision(Enum):
    """The number format of the forward pass; parameters and their updates stay in float32."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def _check(holds: bool, key: str, value: object, rule: str) -> None:
    if not holds:
        raise UserError(f"{key}={value}: {rule}")


@dataclass(frozen=True)
class ObjectiveConfig:
    """loss = cross-entropy + slow_loss_weight · slow loss + penalty."""

    label_smoothing: float = 0.09
    slow_loss: SlowLoss = SlowLoss.channel_sum
    slow_loss_weight: float = 1.0
    penalty: float = 5e-5

    def __post_init__(self) -> None:
        _check(0 <= self.label_smoothing < 1, "objective.label_smoothing", self.label_smoothing, "must be in [0, 1)")
        for name in ("slow_loss_weight", "penalty"):
            value = getattr(self, name)
            _check(0 <= value < math.inf, f"objective.{name}", value, "must be 0 or a positive number")


@dataclass(frozen=True)
class OptimizerConfig:
    """The update rule.

    `betas`: decay rates of the moving averages, as many as the rule has: Kar3 and AdamW two, Kar2
    one, SGD one (its momentum).
    """

    name: OptimizerName = OptimizerName.kar3
    lr: float = 1.215e-3
    betas: list[float] = field(default_factory=lambda: [0.5, 0.95])
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        count = BETAS[self.name]
        rule = f"{self.name.value} takes {count}, each in [0, 1)"
        fitting = len(self.betas) == count and all(0 <= beta < 1 for beta in self.betas)
        _check(fitting, "optimizer.betas", list(self.betas), rule)
        _check(0 < self.lr < math.inf, "optimizer.lr", self.lr, "must be a positive number")
        _check(0 <= self.weight_decay < math.inf, "optimizer.weight_decay", self.weight_decay, "must not be negative")
        decays = self.name in (OptimizerName.adamw, OptimizerName.sgd)
        rule = f"{self.name.value} has no weight decay; it must be 0 (adamw and sgd have one)"
        _check(decays or self.weight_decay == 0, "optimizer.weight_decay", self.weight_decay, rule)


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in what batches and number format, and which split chooses the epoch.

    The learning rate warms up linearly over `warmup_epochs`, then falls to 0 as a cosine, per step.
    `evaluation_batch_size` bounds the batches that a split is evaluated in: they are cut as evenly as possible, in a
    fixed order. With `evaluation` at `batch` it changes results: each batch brings its own statistics (§9.2).
    `gradient_accumulation_steps`: micro-batches that a batch is cut into, for less memory; their gradients are averaged
    before the update. It changes results, as each micro-batch is standardised by its own statistics.
    `cuda_graphs`: the compiled network's kernels are recorded once and launched together, which pays for small steps.
    """

    epochs: int = 100
    warmup_epochs: float = 8.0
    batch_size: int = 64
    protocol: Protocol = Protocol.holdout
    evaluation: Evaluation = Evaluation.batch
    evaluation_batch_size: int = 256
    precision: Precision = Precision.float32
    gradient_accumulation_steps: int = 1
    compile: bool = False
    cuda_graphs: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluation_batch_size", "gradient_accumulation_steps"):
            value = getattr(self, name)
            _check(value >= 1, f"training.{name}", value, "must be at least 1")
        parts, rule = self.gradient_accumulation_steps, f"must divide training.batch_size={self.batch_size}"
        _check(self.batch_size % parts == 0, "training.gradient_accumulation_steps", parts, rule)
        _check(0 <= self.warmup_epochs < math.inf, "training.warmup_epochs", self.warmup_epochs, "must not be negative")
        _check(self.compile or not self.cuda_graphs, "training.cuda_graphs", "true", "needs training.compile=true")
        rule = (
            "needs training.gradient_accumulation_steps=1: PyTorch may add up the gradients of recorded steps wrongly"
        )
        _check(parts == 1 or not self.cuda_graphs, "training.cuda_graphs", "true", rule)


NOT_IN_KEY = {"in_key": False}


class Device(Enum):
    """Where to compute; `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class MachineConfig:
    """Where a run computes. `threads`: CPU threads, on which the results depend: sums are split between them.

    `checkpoint_min`: minutes between checkpoints within an epoch; there is one after each epoch anyway.
    """

    device: Device = field(default=Device.auto, metadata=NOT_IN_KEY)
    threads: int = 1
    checkpoint_min: float = field(default=10.0, metadata=NOT_IN_KEY)

    def __post_init__(self) -> None:
        _check(self.threads >= 1, "machine.threads", self.threads, "must be at least 1")
        _check(self.checkpoint_min >= 0, "machine.checkpoint_min", self.checkpoint_min, "must not be negative")


class Source(Enum):
    """What is random about a run: its initial parameters; the order of its training images with augmentation and
    dropout; which images train, validate and, where no test split is published, test."""

    init = "init"
    order = "order"
    split = "split"


@dataclass(frozen=True)
class SourceSeeds:
    """The seed of each source of randomness; None takes the run's `seed`.

    Split 0 is the usual one. Where a test split is published, the others draw another validation split alone.
    """

    init: int | None = None
    order: int | None = None
    split: int | None = 0

    def __post_init__(self) -> None:
        for source in Source:
            value = getattr(self, source.value)
            fitting = value is None or 0 <= value < 2**63
            _check(fitting, f"seed_of.{source.value}", value, "must be null or from 0 to 2⁶³ − 1")


@dataclass(frozen=True)
class RunConfig:
    """One training run. Raises UserError where the model's architecture and fields are of two families, the data's
    format and fields of two formats, or a split is asked for where none is drawn."""

    model: ModelConfig = field(default_factory=TerminatorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    seed_of: SourceSeeds = field(default_factory=SourceSeeds)
    machine: MachineConfig = field(default_factory=MachineConfig)

    def __post_init__(self) -> None:
        _check(0 <= self.seed < 2**63, "seed", self.seed, "must be from 0 to 2⁶³ − 1")
        architecture = self.model.architecture
        if type(self.model) is not network_config(architecture):
            raise UserError(f"model.architecture={architecture}: goes with another family's fields; choose by model=")
        if type(self.data) is not data_config(kind := self.data.format):
            raise UserError(f"data.format={kind}: goes with another format's fields; choose by data=")
        if self.seed_of.split != 0 and self.data.publishes_test and self.training.protocol is Protocol.release:
            value = "null" if self.seed_of.split is None else self.seed_of.split
            raise UserError(
                f"seed_of.split={value}: there is no split to draw: {self.data.name} has a test split, and "
                "training.protocol=release validates on it"
            )
        hold_out, size = self.training.protocol is Protocol.holdout, self.training.batch_size
        if (count := self.data.training_images(hold_out=hold_out)) is not None:
            _check(size <= count, "training.batch_size", size, f"must be at most the {count:,} training images")
        if self.training.cuda_graphs and self.machine.device is Device.cpu:
            raise UserError("training.cuda_graphs=true: needs a GPU; machine.device=cpu must be auto or cuda")

    def seed_for(self, source: Source) -> int:
        """The seed of one source of randomness."""
        named: int | None = getattr(self.seed_of, source.value)
        return self.seed if named is None else named


def to_plain(value: Any, *, key_only: bool = False) -> Any:
    """A configuration as dicts, lists and scalars. With `key_only`, without the fields that cannot change a result."""
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
    if isinstance(value, dict):
        return {key: to_plain(item, key_only=key_only) for key, item in value.items()}
    return value


def schema(kind: type[Any]) -> DictConfig:
    """A configuration class as OmegaConf's typed node. It can be merged into, though the class is frozen.

    A run's model has only the fields that all families share, until a family's own schema is merged into it.
    """
    if kind not in _schemas:
        _schemas[kind] = _schema(kind)
    return copy.deepcopy(_schemas[kind])  # which takes a tenth of the time


_schemas: dict[type[Any], DictConfig] = {}


def _schema(kind: type[Any]) -> DictConfig:
    node: DictConfig = OmegaConf.structured(kind)
    _unlock(node)
    if issubclass(kind, RunConfig):
        node.model = schema(ModelConfig)
    if issubclass(kind, ModelConfig):
        for child in node.values():
            if OmegaConf.get_type(child) is dict:  # a network's own arguments: it knows their names
                OmegaConf.set_struct(child, False)
    return node


def _unlock(node: DictConfig | ListConfig) -> None:
    OmegaConf.set_readonly(node, None)
    for child in node.values() if isinstance(node, DictConfig) else node:
        if isinstance(child, (DictConfig, ListConfig)):
            _unlock(child)


@functools.cache
def shipped_data() -> dict[str, DataConfig]:
    """The data sets of conf/data, by the names that `data=` takes."""
    return data_sets(shipped("conf"))


def data_sets(*folders: Path) -> dict[str, DataConfig]:
    """Those of the folders' data/*.yaml, by name. Raises omegaconf's errors and UserError for a file that is none."""
    paths = [path for folder in folders for path in sorted((folder / "data").glob("*.yaml"))]
    files: Any = {path.stem: OmegaConf.load(path) for path in paths}
    bases = {name: [base for base in file.pop("defaults", []) if base in files] for name, file in files.items()}

    def read(name: str) -> DataConfig:
        plain: Any = OmegaConf.merge(*(files[part] for part in [*bases[name], name]))
        data: Any = OmegaConf.to_object(OmegaConf.merge(schema(data_config(plain.format)), plain))
        return data  # type: ignore[no-any-return]

    return {name: read(name) for name in files}


def from_plain(plain: dict[str, Any]) -> RunConfig:
    """The inverse of `to_plain`. Raises omegaconf's errors, naming the key, where `plain` is no run configuration.

    Raises UserError for a run of a version that knew data sets by their names alone.
    """
    if "format" not in plain.get("data", {"format": None}):
        raise UserError(f"data.name={plain['data'].get('name')}: planned by an older version: run its command again")
    families = {"model": schema(network_config(plain["model"]["architecture"]))}
    if "data" in plain:
        families["data"] = schema(data_config(plain["data"]["format"]))
    config = OmegaConf.to_object(OmegaConf.merge(schema(RunConfig), families, plain))
    assert isinstance(config, RunConfig)
    return config
