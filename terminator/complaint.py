"""Turns what went wrong with the user's input into one line that names the key, the value and the valid choices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from terminator.errors import UserError

INPUT_ERRORS = (UserError, HydraException, OmegaConfBaseException)


def complaint(error: BaseException) -> str:
    """One line for an error of INPUT_ERRORS, found by following its causes to the most telling one."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    for link in chain:
        if isinstance(link, UserError):
            return str(link)
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _missing_choice(link)
    for link in reversed(chain):
        if isinstance(link, (ConfigKeyError, ConfigAttributeError)):
            return _unknown_key(link, chain)
        if isinstance(link, OmegaConfBaseException):
            return f"{link.full_key or 'configuration'}: {str(link).splitlines()[0]}"
    return _first_line(error)


def _missing_choice(error: MissingConfigException) -> str:
    group, _, word = str(error.missing_cfg_file).rpartition("/")
    choices = sorted(choice for choice in error.options or () if not choice.endswith("_schema"))
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
