"""Hydra's composition, from override words to typed settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from terminator.complaint import INPUT_ERRORS, complaint
from terminator.errors import UserError
from terminator.settings import Settings


@dataclass(frozen=True)
class CommandLine:
    """What was typed after `-m`, sorted: ablations, seeds, overrides of every run, and the choices to multiply out."""

    ablations: list[str]
    seeds: list[int] | None
    base: list[str]
    choices: dict[str, list[str]]

    def contexts(self) -> Iterator[list[str]]:
        """Every combination of the choices, each as override words (one empty list where there is no choice)."""
        for words in product(*([f"{key}={value}" for value in values] for key, values in self.choices.items())):
            yield list(words)


def read_command_line(loader: ConfigLoader, arguments: Sequence[str]) -> CommandLine:
    """Raises UserError for an interval or another sweep that has no finite list of values."""
    parser = OverridesParser.create(config_loader=loader)
    ablations: list[str] = []
    seeds: list[int] | None = None
    base: list[str] = []
    choices: dict[str, list[str]] = {}
    for override in parser.parse_overrides(list(arguments)):
        key = override.get_key_element()
        values = _values(override)
        if key == "ablation":
            ablations = [value for value in values if value != "null"]
        elif key == "seed":
            seeds = _seeds(values)
        elif len(values) > 1:
            choices[key] = values
        else:
            base.append(str(override.input_line))
    return CommandLine(list(dict.fromkeys(ablations)), seeds, base, choices)


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: must list its values, as in {override.get_key_element()}=1,2,3")
    return list(override.sweep_string_iterator())


def _seeds(values: list[str]) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        raise UserError(f"seed={','.join(values)}: seeds must be whole numbers, as in seed=0,1,2") from None


class Composer:
    """Composes settings for one set of overrides after another, on top of the master configuration."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master

    def settings(self, words: Sequence[str], *, of: str = "") -> Settings:
        """Raises UserError that names `of` (a variant, say) where the overrides do not fit."""
        try:
            composed = self._loader.load_sweep_config(self._master, list(words))
            return typed(composed)
        except INPUT_ERRORS as error:
            raise UserError(f"{of}: {complaint(error)}" if of else complaint(error)) from error


def typed(config: DictConfig) -> Settings:
    """Hydra's configuration as the typed object; OmegaConf ends here."""
    with open_dict(config):
        config.pop("hydra", None)
    settings: Any = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    return settings
