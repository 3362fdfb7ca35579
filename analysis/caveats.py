"""What every table of certain results must say beside its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from terminator.analysis.factors import at
from terminator.config import Protocol, Source, SourceSeeds, shipped_data, to_plain
from terminator.model.config import TerminatorConfig

OPTIMISTIC = "Optimistic: the reported epoch was chosen on the test split itself (training.protocol=release)"
SEQUENCES = (
    "Sequences: no code of a one-dimensional Terminator was ever published; these are results of our interpretation"
)
_SEQUENCES = {name for name, data in shipped_data().items() if data.is_sequence}  # of ledgers that only name them


def caveats(configs: Mapping[str, Iterable[Mapping[str, Any]]], *, of_seeds: bool = False) -> tuple[str, ...]:
    """The caveats that runs with these resolved configurations need; variant → its runs' configurations.

    Each names the variants that it is about, unless it is about all of them. `of_seeds`: the runs' table says itself
    what their seeds draw.
    """
    known = {name: each for name, runs in configs.items() if (each := list(runs))}
    found = []
    for caveat, applies in (CAVEATS if of_seeds else {**CAVEATS, **SEEDS}).items():
        names = [name for name, runs in known.items() if any(map(applies, runs))]
        if names:
            whose = "" if len(names) == len(known) else f": {', '.join(names)}"
            found.append(f"{caveat}{whose}.")
    return tuple(found)


def _is_optimistic(config: Mapping[str, Any]) -> bool:
    return at(config, "training.protocol") == Protocol.release.value


def _is_interpretation(config: Mapping[str, Any]) -> bool:
    is_ours = at(config, "model.architecture") == TerminatorConfig.architecture
    stored = at(config, "data.image_shape")
    is_sequence = at(config, "data.sequence") is not None or (isinstance(stored, list) and len(stored) == 2)
    return is_ours and (is_sequence or at(config, "data.name") in _SEQUENCES)


def drawn(config: Mapping[str, Any]) -> tuple[Source, ...]:
    """What the seed of a run with this resolved configuration draws."""
    seeds = {**to_plain(SourceSeeds()), **(config.get("seed_of") or {})}
    return tuple(source for source in Source if seeds[source.value] is None)


Applies = Callable[[Mapping[str, Any]], bool]
CAVEATS: Mapping[str, Applies] = {OPTIMISTIC: _is_optimistic, SEQUENCES: _is_interpretation}
SEEDS: Mapping[str, Applies] = {
    "The seeds draw the split of the data too (seed_of.split)": lambda config: Source.split in drawn(config),
    "The initial parameters are the same at all seeds (seed_of.init)": lambda config: Source.init not in drawn(config),
    "The order of the data, its augmentation and dropout are the same at all seeds (seed_of.order)": lambda config: (
        Source.order not in drawn(config)
    ),
}


# What is off: a switch, a choice, a weight, an empty list.
_OFF: tuple[Any, ...] = (False, None, "off", "none", 0, [])


class Kind(Enum):
    """The kind of a change, which decides what "helps" is said of."""

    removal = "removal"
    addition = "addition"
    replacement = "replacement"


@dataclass(frozen=True)
class Change:
    """The configuration's keys that differ: key → (baseline's value, variant's value). `controls`: those that only keep
    the size, or were tuned, and do not count for the kind."""

    keys: Mapping[str, tuple[Any, Any]]
    kind: Kind
    controls: tuple[str, ...] = ()

    def parts(self) -> list[str]:
        """The parts taken away, added or replaced, by the last part of their keys."""
        return [_part(key, *values) for key, values in self.keys.items() if key not in self.controls]


def change(
    baseline: Mapping[str, Any], variant: Mapping[str, Any], *, is_control: bool = False, tuned: Sequence[str] = ()
) -> Change:
    """How the variant's resolved configuration differs from the baseline's, whatever the seeds and machines.

    The width of a size-matched control and the keys that were `tuned` for each row do not count for the kind.
    """
    ours, theirs = dict(_flat(variant)), dict(_flat(baseline))
    differing = {
        key: (theirs.get(key), ours.get(key))
        for key in [*theirs, *(key for key in ours if key not in theirs)]
        if theirs.get(key) != ours.get(key) and key != "seed" and not key.startswith("machine.")
    }
    controls = (*(["model.width"] if is_control else []), *tuned)
    counted = [values for key, values in differing.items() if key not in controls]
    return Change(differing, _kind(counted), controls)


def _kind(changes: list[tuple[Any, Any]]) -> Kind:
    if changes and all(_within(after, before) for before, after in changes):
        return Kind.removal
    if changes and all(_within(before, after) for before, after in changes):
        return Kind.addition
    return Kind.replacement


def _within(less: Any, more: Any) -> bool:
    """Whether `less` is off where `more` is on, or a list with some of the other's entries."""
    if isinstance(less, list) and isinstance(more, list):
        return not Counter(map(str, less)) - Counter(map(str, more))
    return less in _OFF and more not in _OFF


def _part(key: str, before: Any, after: Any) -> str:
    last = key.rpartition(".")[2]
    if isinstance(before, list) and isinstance(after, list):
        had, has = Counter(map(str, before)), Counter(map(str, after))
        gone, come = had - has, has - had
        if not gone or not come:
            return f"{last} {', '.join((gone or come).elements())}"
    return last


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
