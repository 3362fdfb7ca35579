"""An ablation file, and its variants: the ones that it lists and the ones that its generators make."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from terminator.config import Source, shipped_data
from terminator.data.config import DataConfig
from terminator.errors import UserError
from terminator.ledger import DEFAULT_SEEDS, DEFAULT_SHARES, OFF, ON, LookPlan, Variant
from terminator.planning.screen import cell_name, cells
from terminator.text import describe, did_you_mean, override_value, short_names

Overrides = dict[str, Any]


METRICS = (  # that a table can judge by
    *("test_accuracy", "test_error", "test_loss", "validation_accuracy", "validation_loss", "parameters", "flops"),
    *("train_seconds", "images_per_second", "peak_memory_bytes", "energy_joules", "best_epoch", "epochs"),
    "convergence_epochs",
)
HIGHER_IS_BETTER = ("test_accuracy", "validation_accuracy", "images_per_second")  # of the others less is better
SHARES = ("test_accuracy", "test_error", "validation_accuracy")
SCREEN_SEEDS = (0, 1, 2, 3, 4)
GENERATORS = ("leave_one_out", "add_one_in", "one_at_a_time", "grid", "zip")  # but for `screen`
NOT_OF_VARIANTS = ("seed", "ablation", "sweep", "root", "tracking", "cluster", "hydra")


class Match(Enum):
    """The budget of the size-matched controls: each variant again, widened or narrowed to the baseline's."""

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
    `screen` maps keys to what switches them off, too: its variants are the cells of a screening design, which stands
    alone, at a fixed list of seeds; `fold` names the switch to fold it over on (terminator.planning.screen).
    `looks`: the numbers of seeds to look at, each with its share of the error level in `shares` (None: equal ones, but
    for the default looks), less the part of it in `reserve`, for looks beyond the plan. `seeds`: a fixed list in place
    of planned looks, as seed= gives it. `smallest_effect`: the smallest difference that matters, in the metric's unit
    on disk. `data_kind`: what the question is about, None for any data; other data are refused.
    `vary`: the sources of randomness that the seeds of the table draw, None for what the settings `seed_of` say: the
    initial parameters and the order; the others are held at seed 0.
    `tune`: a numeric key of the configuration, or a list of such keys, that is chosen for each variant anew, among
    `tune_values` (of several keys a list each, which are crossed), by the validation accuracy at `tune_seeds`.
    """

    question: str = ""
    data_kind: DataKind | None = None
    baseline: str = "full"
    seeds: list[int] | None = None
    vary: list[Source] | None = None
    looks: list[int] = field(default_factory=lambda: list(DEFAULT_SEEDS))
    shares: list[float] | None = None
    reserve: float = 0.10
    metric: str = "test_accuracy"
    smallest_effect: float = 0.005
    match: Match | None = None
    variants: dict[str, Any] = field(default_factory=dict)
    leave_one_out: dict[str, Any] = field(default_factory=dict)
    add_one_in: dict[str, Any] = field(default_factory=dict)
    one_at_a_time: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    zip: dict[str, Any] = field(default_factory=dict)
    screen: dict[str, Any] = field(default_factory=dict)
    fold: str | None = None
    resources: dict[str, Any] = field(default_factory=dict)
    tune: Any = None
    tune_values: list[Any] = field(default_factory=list)
    tune_seeds: list[int] = field(default_factory=lambda: [1000, 1001])

    def __post_init__(self) -> None:
        if self.seeds is not None and not self.seeds:
            raise UserError("ablation.seeds=[]: give at least one seed, for instance seed=0,1,2")
        if self.seeds is not None and len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"ablation.seeds={self.seeds}: seeds must differ from each other")
        if self.vary is not None and (not self.vary or len(set(self.vary)) < len(self.vary)):
            named = ",".join(source.value for source in self.vary)
            raise UserError(
                f"ablation.vary=[{named}]: must be some of {', '.join(source.value for source in Source)}, each once"
            )
        self.look_plan()
        if not self.smallest_effect > 0:
            raise UserError(f"ablation.smallest_effect={self.smallest_effect}: must be positive")
        if self.metric in SHARES and self.smallest_effect >= 1:
            rule = "must be below 1, as a share of the test images: 0.01 is a point"
            raise UserError(f"ablation.smallest_effect={self.smallest_effect}: {rule}")
        if self.metric not in METRICS:
            meant = did_you_mean(self.metric, METRICS)
            raise UserError(f"ablation.metric={self.metric}: no such metric; {meant}choose from {', '.join(METRICS)}")
        if not self.baseline:
            raise UserError("ablation.baseline='': name the variant that the others are compared with")
        self.candidates()
        self._check_screen()

    @property
    def fixed_seeds(self) -> list[int] | None:
        """The fixed list of seeds, which a screen always has; None where looks are planned."""
        return list(SCREEN_SEEDS) if self.screen and self.seeds is None else self.seeds

    def _check_screen(self) -> None:
        """Raises UserError for a screen that is none, or beside what it cannot be combined with."""
        if not self.screen:
            if self.fold is not None:
                raise UserError(f"ablation.fold={self.fold}: only of a screen; ablation.screen must list its switches")
            return
        for key, off in self.screen.items():
            if isinstance(off, dict) or (isinstance(off, (list, tuple)) and off):
                rule = "must be the one value that switches it off: a screen has two levels, ablation.grid takes more"
                raise UserError(f"ablation.screen.{key}={override_value(off)}: {rule}")
        cells(list(short_names(self.screen).values()), self.fold)
        for name in ("variants", *GENERATORS):
            if getattr(self, name):
                rule = "a screen's effects are the whole table; put it in a file of its own"
                raise UserError(f"ablation.{name}: cannot be combined with ablation.screen; {rule}")
        if self.match is not None:
            rule = "a screen has no size-matched controls, as an effect is a mean over cells of many sizes"
            raise UserError(f"ablation.match={self.match.value}: {rule}; use leave_one_out")
        if self.tune is not None:
            rule = "a screen is not tuned, as its cells would differ in more than their switches"
            raise UserError(f"ablation.tune={override_value(self.tune)}: {rule}; use leave_one_out")
        for name, typed, usual in (("looks", self.looks, list(DEFAULT_SEEDS)), ("shares", self.shares, None)):
            if typed != usual:
                rule = "a screen is one look at a fixed list of seeds, as seed=0,1,2 gives it"
                raise UserError(f"ablation.{name}={typed}: {rule}")

    def candidates(self) -> list[Overrides]:
        """The settings to choose from for each variant; none where nothing is tuned. Raises UserError."""
        if self.tune is None:
            if self.tune_values:
                raise UserError(f"ablation.tune_values={self.tune_values}: ablation.tune must name the key to tune")
            return []
        several = isinstance(self.tune, (list, tuple))
        keys = [str(key) for key in (self.tune if several else [self.tune])]
        axes = list(self.tune_values) if several else [self.tune_values]
        where = f"ablation.tune_values={self.tune_values}"
        if len(axes) != len(keys) or not all(isinstance(axis, (list, tuple)) for axis in axes):
            raise UserError(f"{where}: must be a list of values for each key of ablation.tune, {', '.join(keys)}")
        for key, axis in zip(keys, axes, strict=True):
            numbers = [each for each in axis if isinstance(each, (int, float)) and not isinstance(each, bool)]
            if len(numbers) < len(axis):
                raise UserError(f"{where}: must be numbers for {key}")
            if len(set(numbers)) < len(axis) or len(axis) < 2:
                raise UserError(f"{where}: must be at least two different values for {key}, to choose from")
        tested = self.look_plan().seeds[-1] if self.seeds is None else 0
        final = set(range(tested)) if self.seeds is None else set(self.seeds)
        seeds = f"ablation.tune_seeds={list(self.tune_seeds)}"
        if not self.tune_seeds or len(set(self.tune_seeds)) < len(self.tune_seeds):
            raise UserError(f"{seeds}: must be at least one seed, each once")
        if both := sorted(final & set(self.tune_seeds)):
            raise UserError(f"{seeds}: must not be among the seeds of the final runs, as {both[0]} is")
        return [dict(zip(keys, values, strict=True)) for values in itertools.product(*axes)]

    def held_seeds(self) -> dict[str, int | None]:
        """The settings by which the seeds of the table draw what `vary` says and nothing else."""
        if self.vary is None:
            return {}
        return {f"seed_of.{source.value}": None if source in self.vary else 0 for source in Source}

    def look_plan(self) -> LookPlan:
        """The looks to make where no seeds are given. Raises UserError where they are no plan."""
        seeds = tuple(self.looks)
        if self.shares is not None:
            shares = tuple(self.shares)
        else:
            shares = DEFAULT_SHARES if seeds == DEFAULT_SEEDS else (1 / max(1, len(seeds)),) * len(seeds)
        return LookPlan(seeds, shares, reserve=self.reserve)


def variants(ablation: AblationConfig, name: str) -> list[Variant]:
    """The baseline first, then every other variant in the file's order. Raises UserError where names collide."""
    found = [*_listed(ablation, name), *_generated(ablation)]
    for variant in found:
        _check_keys(variant, name)
    names = [variant.name for variant in found]
    if ablation.baseline not in names:
        if ablation.baseline != AblationConfig.baseline and (meant := did_you_mean(ablation.baseline, names)):
            raise UserError(
                f"ablation={name}: baseline={ablation.baseline}: no such variant; {meant}any other name is that of the "
                "configuration without overrides"
            )
        found.insert(0, Variant(ablation.baseline))
    by_name: dict[str, Variant] = {}
    for variant in found:
        known = by_name.setdefault(variant.name, variant)
        if known.overrides != variant.overrides:
            raise UserError(
                f"ablation={name}: two variants are called {variant.name}, with different overrides: "
                f"{describe(known.overrides)} and {describe(variant.overrides)}"
            )
    baseline = by_name.pop(ablation.baseline)
    if not by_name:
        raise UserError(f"ablation={name}: nothing to compare with the baseline {ablation.baseline}; list variants")
    return [baseline, *by_name.values()]


def _check_keys(variant: Variant, name: str) -> None:
    """Raises UserError for an override that would change nothing about the variant's runs."""
    for key in variant.overrides:
        if key.lstrip("+~").split(".")[0] in NOT_OF_VARIANTS:
            remedy = "seed= on the command line gives the seeds of all variants" if key == "seed" else "a run has none"
            raise UserError(f"ablation={name}: variants.{variant.name}.{key}: variants cannot differ in it; {remedy}")


def _listed(ablation: AblationConfig, name: str) -> Iterator[Variant]:
    for variant, overrides in ablation.variants.items():
        if not isinstance(overrides, dict):
            raise UserError(f"ablation={name}: variants.{variant}={overrides}: must map configuration keys to values")
        yield Variant(variant, overrides)


def _generated(ablation: AblationConfig) -> Iterator[Variant]:
    """The variants of the generators. Raises UserError where their axes are no lists, or do not fit together."""
    short = short_names(ablation.leave_one_out)
    for key, off in ablation.leave_one_out.items():
        yield Variant(f"no_{short[key]}", {key: off}, {key: off})
    short = short_names(ablation.add_one_in)
    for key in ablation.add_one_in:
        yield Variant(f"only_{short[key]}", {other: off for other, off in ablation.add_one_in.items() if other != key})
    axes = _axes(ablation, "one_at_a_time")
    yield from (_crossed({key: value}, axes) for key, values in axes.items() for value in values)
    axes = _axes(ablation, "grid")
    for values in itertools.product(*axes.values()) if axes else ():
        yield _crossed(dict(zip(axes, values, strict=True)), axes)
    axes = _axes(ablation, "zip")
    lengths = {key: len(values) for key, values in axes.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"ablation.zip: axes must be equally long, here {lengths}")
    for values in zip(*axes.values(), strict=True):
        yield _crossed(dict(zip(axes, values, strict=True)), axes)
    switches, names = ablation.screen, list(short_names(ablation.screen).values())
    for cell in cells(names, ablation.fold) if switches else ():
        overrides = {key: value for (key, value), off in zip(switches.items(), cell, strict=True) if off}
        levels = {key: OFF if key in overrides else ON for key in switches}
        yield Variant(cell_name(names, cell, ablation.baseline), overrides, levels)


def _axes(ablation: AblationConfig, generator: str) -> dict[str, list[Any]]:
    axes: dict[str, list[Any]] = getattr(ablation, generator)
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise UserError(f"ablation.{generator}.{key}={values}: must be a list of values")
    return axes


def _crossed(overrides: Overrides, axes: Overrides) -> Variant:
    short = short_names(axes)
    name = ",".join(f"{short[key]}={override_value(value)}" for key, value in overrides.items())
    return Variant(name, overrides, dict(overrides))


def kind_of(data: DataConfig) -> DataKind:
    """What its samples are."""
    return DataKind.sequence if data.is_sequence else DataKind.image


def check_kind(name: str, ablation: AblationConfig, data: DataConfig) -> None:
    """Raises UserError, with the data that would do, where the ablation asks about data of another kind."""
    wanted, held = ablation.data_kind, kind_of(data)
    if wanted is None or wanted is held:
        return
    *others, last = [
        f"data={choice}" for choice, each in shipped_data().items() if each.image_shape and kind_of(each) is wanted
    ]
    raise UserError(
        f"ablation={name}: asks about {wanted.value}s; data={data.name} holds {held.value}s; "
        f"add {', '.join(others)} or {last}"
    )
