"""What a sweep was typed with beside its ablations: the settings that its results owe to the command line."""

from __future__ import annotations

from collections.abc import Sequence

from terminator.data.config import DataConfig

# Keys, and the first words of keys, that change no run's result.
NO_RESULT = ("root", "sweep", "tracking", "cluster", "hydra", "ablation", "machine", "data.folder")
USUAL = (f"data={DataConfig().name.value}",)


def own_settings(command: Sequence[str], base: Sequence[str]) -> tuple[str, ...]:
    """The overrides that results depend on: of `base`, those of all its runs, and the seeds in its `command`."""
    seeds = [word for word in command if _key(word) == "seed"]
    return tuple(word for word in [*base, *seeds] if _changes_results(word) and word not in USUAL)


def is_comparable(settings: Sequence[str]) -> bool:
    """Whether a sweep with these settings still is what its ablation asks: other data or seeds, nothing else."""
    return all(_key(word) in ("data", "seed") for word in settings)


def _changes_results(word: str) -> bool:
    key = _key(word)
    return not any(key == each or key.startswith((f"{each}.", f"{each}/")) for each in NO_RESULT)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
