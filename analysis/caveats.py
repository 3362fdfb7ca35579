"""What every table of certain results must say beside its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from terminator.data.config import FACTS
from terminator.model.config import Architecture
from terminator.training.config import Protocol

OPTIMISTIC = "Optimistic: the reported epoch was chosen on the test split itself (training.protocol=release)"
SEQUENCES = (
    "Sequences: no code of a one-dimensional Terminator was ever published; these are results of our interpretation"
)
_SEQUENCES = {dataset.value for dataset, facts in FACTS.items() if len(facts.image_shape) == 2}


def caveats(configs: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[str, ...]:
    """The caveats that runs with these resolved configurations need; variant → its runs' configurations.

    Each names the variants that it is about, unless it is about all of them.
    """
    known = {name: each for name, runs in configs.items() if (each := list(runs))}
    found = []
    for caveat, applies in CAVEATS.items():
        names = [name for name, runs in known.items() if any(map(applies, runs))]
        if names:
            whose = "" if len(names) == len(known) else f": {', '.join(names)}"
            found.append(f"{caveat}{whose}.")
    return tuple(found)


def _is_optimistic(config: Mapping[str, Any]) -> bool:
    return _at(config, "training", "protocol") == Protocol.release.value


def _is_interpretation(config: Mapping[str, Any]) -> bool:
    is_ours = _at(config, "model", "architecture") == Architecture.terminator.value
    return is_ours and _at(config, "data", "name") in _SEQUENCES


CAVEATS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {OPTIMISTIC: _is_optimistic, SEQUENCES: _is_interpretation}


def _at(config: Mapping[str, Any], group: str, key: str) -> object:
    inner = config.get(group)
    return inner.get(key) if isinstance(inner, Mapping) else None
