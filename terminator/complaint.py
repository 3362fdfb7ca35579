"""Turns what went wrong with the user's input into one line that names the key, the value and the valid choices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml.error import MarkedYAMLError

from terminator.errors import UserError

INPUT_ERRORS = (UserError, HydraException, OmegaConfBaseException, MarkedYAMLError)


def complaint(error: BaseException) -> str:
    """One line for an error of INPUT_ERRORS, found by following its causes to the most telling one."""
    chain = [error]
    while (cause := _cause(chain[-1])) is not None:
        chain.append(cause)
    for link in chain:
        if isinstance(link, UserError):
            return str(link)
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _missing_choice(link)
        if isinstance(link, MarkedYAMLError) and (mark := link.problem_mark) is not None:
            return f"{mark.name}: line {mark.line + 1}, column {mark.column + 1}: no YAML: {link.problem}"
    file = next(filter(None, map(_file, chain)), "")
    for link in reversed(chain):
        if isinstance(link, (ConfigKeyError, ConfigAttributeError)):
            return _in_file(file, _unknown_key(link, chain))
        if isinstance(link, OmegaConfBaseException):
            return _in_file(file, f"{link.full_key or 'configuration'}: {str(link).splitlines()[0]}")
    return _first_line(error)


def _cause(error: BaseException) -> BaseException | None:
    """What the error was raised from; Hydra raises its own while it handles OmegaConf's of a file, without a word."""
    return error.__cause__ or (error.__context__ if _file(error) else None)


def _file(error: BaseException) -> str:
    """The configuration file, as `ablation/mine`, whose words do not fit; empty where the error is of none."""
    named = re.match(r"In '([^']+)': ", str(error)) if isinstance(error, ConfigCompositionException) else None
    return named.group(1) if named else ""


def _in_file(file: str, said: str) -> str:
    """Keys of a group's file are said as they stand in it: without the group."""
    return f"{file}: {said.removeprefix(file.rpartition('/')[0] + '.')}" if file else said


def _missing_choice(error: MissingConfigException) -> str:
    group, _, word = str(error.missing_cfg_file).rpartition("/")
    choices = sorted(error.options or ())
    return f"{group}={word}: no such {group}; {_choose(word, choices)}" if choices else _first_line(error)


def _unknown_key(error: OmegaConfBaseException, chain: list[BaseException]) -> str:
    full_key = str(error.full_key or "")
    for link in chain:  # Hydra names the whole key, OmegaConf only the part below the node it was in
        named = re.search(
            r"Could not (?:override|append to config\. An item is already at|delete from config) '([^']+)'", str(link)
        )
        if isinstance(link, ConfigCompositionException) and named:
            full_key = named.group(1).split("=")[0].lstrip("+~")
    parent = error.parent_node
    choices = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
    return (
        f"{full_key}: no such key; {_choose(full_key.rpartition('.')[2], choices)}" if choices else _first_line(error)
    )


def _choose(word: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return f"{meant}choose from {', '.join(choices)}"


def _first_line(error: BaseException) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
