"""What a variant changes: does it take a part away, add one, or put something else in its place?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

# What is off: a switch, a word, a weight, an empty list.
_OFF: tuple[Any, ...] = (False, None, "off", "none", 0, [])


class Kind(Enum):
    """The kind of a change, which decides what "helps" is said of."""

    removal = "removal"
    addition = "addition"
    replacement = "replacement"


@dataclass(frozen=True)
class Change:
    """The configuration's keys that differ: key → (baseline's value, variant's value). `controls`: those that only keep
    the size, and do not count for the kind."""

    keys: Mapping[str, tuple[Any, Any]]
    kind: Kind
    controls: tuple[str, ...] = ()

    def parts(self) -> list[str]:
        """The parts taken away, added or replaced, by the last word of their keys."""
        return [_part(key, *values) for key, values in self.keys.items() if key not in self.controls]


def change(baseline: Mapping[str, Any], variant: Mapping[str, Any], *, is_twin: bool = False) -> Change:
    """How the variant's resolved configuration differs from the baseline's, whatever the seeds and machines.

    A twin's width is a control.
    """
    ours, theirs = dict(_flat(variant)), dict(_flat(baseline))
    differing = {
        key: (theirs.get(key), ours.get(key))
        for key in [*theirs, *(key for key in ours if key not in theirs)]
        if theirs.get(key) != ours.get(key) and key != "seed" and not key.startswith("machine.")
    }
    controls = ("model.width",) if is_twin else ()
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
