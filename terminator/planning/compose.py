"""Hydra's composition, from overrides to typed settings, and its errors in one line."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml.error import MarkedYAMLError

from terminator.cluster.profile import ClusterProfile
from terminator.config import schema, shipped
from terminator.errors import UserError
from terminator.planning.settings import Settings
from terminator.text import did_you_mean

INPUT_ERRORS = (UserError, HydraException, OmegaConfBaseException, MarkedYAMLError)
FOLDERS = ("conf", "sweeps", "slurm")
GROUPS = ("ablation", "cluster", "data", "model", "optimizer", "recipe")
KEYS = [each.name for each in fields(Settings)]
NAME = re.compile(r"[\w.+-]+(/[\w.+-]+)*", re.ASCII)  # of an ablation: it names folders, and is typed in a shell


@dataclass(frozen=True)
class CommandLine:
    """What was typed after `-m`, sorted: ablations, seeds, overrides of every run, and the choices to multiply out."""

    ablations: list[str]
    seeds: list[int] | None
    base: list[str]
    choices: dict[str, list[str]]

    def contexts(self) -> Iterator[list[str]]:
        """Every combination of the choices, each as overrides (one empty list where there is no choice)."""
        for values in product(*self.choices.values()):
            yield [f"{key}={value}" for key, value in zip(self.choices, values, strict=True)]


def check_words(overrides: Sequence[str], own: Path | None) -> None:
    """Raises UserError for what Hydra would end with a trace, or pass over without a word.

    `own`: the folder of --config-dir. Of a file that the suite has too, Hydra takes the suite's.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group, value = override.key_or_group, None if override.is_sweep_override() else override.value()
        if group in GROUPS and not override.is_sweep_override() and not isinstance(value, (str, list, dict)):
            raise UserError(f"{override.input_line}: must name a file of the group {group}, or be left out")
    if own is None:
        return
    if not own.is_dir():
        raise UserError(f"--config-dir={own}: no such folder")
    for path in sorted(own.glob("*/**/*.yaml")):
        name = path.relative_to(own)
        ours = next((file for each in FOLDERS if (file := shipped(each) / name).exists()), None)
        if ours is not None and ours.read_bytes() != path.read_bytes():
            group, _, choice = str(name.with_suffix("")).partition("/")
            raise UserError(f"{path}: {group}={choice} is the suite's own, which Hydra would take; rename the file")


def read_command_line(loader: ConfigLoader, arguments: Sequence[str]) -> CommandLine:
    """Raises UserError for an interval or another sweep that has no finite list of values, for a value that is listed
    twice, and for looks beside a list of seeds."""
    ablations: list[str] = []
    seeds: list[int] | None = None
    base: list[str] = []
    choices: dict[str, list[str]] = {}
    given: set[str] = set()
    for override in OverridesParser.create(config_loader=loader).parse_overrides(list(arguments)):
        key = override.get_key_element()
        values = _values(override)
        if key in ("ablation", "seed") and key in given:
            raise UserError(f"{override.input_line}: {key}= is given twice; list its values, as in {key}=a,b")
        if repeated := [value for value in values if values.count(value) > 1]:
            raise UserError(f"{override.input_line}: {repeated[0]} is listed twice")
        given.add(key)
        if key == "ablation":
            ablations = [_checked_name(value) for value in values if value != "null"]
        elif key == "seed":
            seeds = _seeds(values)
        elif len(values) > 1:
            choices[key] = values
        else:
            base.append(str(override.input_line))
    unused = [each for each in base if seeds is not None and each.startswith(("ablation.looks=", "ablation.shares="))]
    if unused:
        raise UserError(f"{unused[0]}: seed= gives a fixed list of seeds, which is one look; leave one of the two out")
    return CommandLine(ablations, seeds, base, choices)


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise UserError(f"{override.input_line}: must list its values, as in {override.get_key_element()}=1,2,3")
    return list(override.sweep_string_iterator())


def _checked_name(name: str) -> str:
    plain = name.strip("'\"").replace("\\ ", " ")
    if not NAME.fullmatch(plain):
        rule = "a name is of letters from a to z, digits, _, -, + and ."
        raise UserError(f"ablation={plain}: {rule}; rename the file")
    if plain.endswith(".yaml"):
        raise UserError(f"ablation={plain}: names the file without .yaml: ablation={plain.removesuffix('.yaml')}")
    return plain


def _seeds(values: list[str]) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        raise UserError(f"seed={','.join(values)}: seeds must be whole numbers, as in seed=0,1,2") from None


class Composer:
    """Composes settings for one set of overrides after another, on top of the master configuration.

    Hydra composes each choice of groups once; overrides of values are applied to a copy of that, as Hydra does it.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._parsed: dict[str, Override] = {}
        self._is_group: dict[str, bool] = {}
        # By the choices of groups; pickled, which is a copy in a third of the time of copy.deepcopy.
        self._composed: dict[tuple[str, ...], bytes] = {}

    def settings(self, overrides: Sequence[str], *, of: str = "") -> Settings:
        """Raises UserError that names `of` (a variant, say) where the overrides do not fit."""
        try:
            try:
                return typed(self._apply(overrides))
            except (HydraException, OmegaConfBaseException):  # Hydra's own error names the override
                return typed(self._loader.load_sweep_config(self._master, list(overrides)))
        except INPUT_ERRORS as error:
            raise UserError(f"{of}: {format_error(error)}" if of else format_error(error)) from error

    def _apply(self, overrides: Sequence[str]) -> DictConfig:
        for text in overrides:
            if text not in self._parsed:
                self._parsed[text] = self._parser.parse_override(text)
        of_values = [self._parsed[text] for text in overrides if self._is_of_value(self._parsed[text])]
        chosen = tuple(text for text in overrides if self._parsed[text] not in of_values)
        if chosen not in self._composed:
            composed = self._loader.load_sweep_config(self._master, list(chosen))
            with open_dict(composed):
                composed.pop("hydra", None)  # larger than the rest, and no setting
            self._composed[chosen] = pickle.dumps(composed)
        config: DictConfig = pickle.loads(self._composed[chosen])
        for override in of_values:
            OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
        return config

    def _is_of_value(self, override: Override) -> bool:
        """Whether it changes a value that is there, and no choice of a group."""
        key = override.key_or_group
        if key not in self._is_group:
            self._is_group[key] = bool(self._loader.get_group_options(key))
        plain = not (override.is_add() or override.is_delete() or override.is_force_add() or override.package)
        return plain and not key.startswith("hydra.") and not self._is_group[key]


def typed(config: DictConfig) -> Settings:
    """Hydra's configuration as the typed object; OmegaConf ends here. Raises UserError for added and deleted keys."""
    with open_dict(config):
        config.pop("hydra", None)
        profile = config.get("cluster")
        if isinstance(profile, DictConfig) and OmegaConf.get_type(profile) is dict:  # from hydra.searchpath, say
            config.cluster = OmegaConf.merge({"cluster": schema(ClusterProfile)}, {"cluster": profile}).cluster
    _check_fields(config, "")
    for key in KEYS:
        if key not in config and key not in ("ablation", "cluster"):
            raise UserError(f"~{key}: cannot be deleted; {key}=… changes it")
    settings: Any = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    return settings


def _check_fields(node: DictConfig, prefix: str) -> None:
    """OmegaConf lets `+key=1` add to a typed node what the class then refuses, with a traceback."""
    kind = OmegaConf.get_type(node) if prefix else Settings
    if not is_dataclass(kind):
        return
    known = [each.name for each in fields(kind)]
    for name, child in node.items_ex(resolve=False):
        if (key := str(name)) not in known:
            raise UserError(f"+{prefix}{key}: no such key; {_choose(key, known)}")
        if isinstance(child, DictConfig) and not child._is_none():
            _check_fields(child, f"{prefix}{key}.")


def format_error(error: BaseException) -> str:
    """One line for an error of INPUT_ERRORS, found by following its causes to the most telling one."""
    chain = [error]
    while (cause := _cause(chain[-1])) is not None:
        chain.append(cause)
    for link in chain:
        if isinstance(link, UserError):
            return str(link)
        if isinstance(link, MissingConfigException) and link.missing_cfg_file:
            return _missing_choice(link)
        if isinstance(link, OverrideParseException):
            return _unreadable(link)
        if isinstance(link, MarkedYAMLError) and (mark := link.problem_mark) is not None:
            return f"{mark.name}: line {mark.line + 1}, column {mark.column + 1}: invalid YAML: {link.problem}"
    file = next(filter(None, map(_file, chain)), "")
    for link in reversed(chain):
        if isinstance(link, (ConfigKeyError, ConfigAttributeError)):
            return _in_file(file, _unknown_key(link, chain))
        if isinstance(link, OmegaConfBaseException):
            key = link.full_key or ("" if file else "configuration")
            return _in_file(file, f"{key}: {_rule(link)}".removeprefix(": "))
    return _sweep_without_m(error) or _first_line(error)


def _cause(error: BaseException) -> BaseException | None:
    """What the error was raised from; Hydra raises its own while it handles OmegaConf's of a file, without `from`."""
    return error.__cause__ or (error.__context__ if _file(error) else None)


def _file(error: BaseException) -> str:
    """The configuration file, as `ablation/mine`, that the error was found in; empty where it names none."""
    named = re.match(r"In '([^']+)': ", str(error)) if isinstance(error, ConfigCompositionException) else None
    return named.group(1) if named else ""


def _in_file(file: str, message: str) -> str:
    """Keys of a group's file are named as they are written in it: without the group."""
    return f"{file}: {message.removeprefix(file.rpartition('/')[0] + '.')}" if file else message


def _missing_choice(error: MissingConfigException) -> str:
    file = str(error.missing_cfg_file)  # of our groups, none lies in another: `ablation=sub/mine` is in a folder
    group, _, name = file.rpartition("/") if file.startswith("hydra/") else file.partition("/")
    choices = sorted(error.options or ())
    usual = "without recipe= it has the name of the data; " if group == "recipe" else ""
    return f"{group}={name}: no such {group}; {usual}{_choose(name, choices)}" if choices else _first_line(error)


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
    if not choices:
        return _first_line(error)
    above = parent._get_full_key(None)
    unknown, *below = full_key.removeprefix(f"{above}." if above else "").split(".")
    choices = [choice for choice in choices if choice != "hydra"]
    near = get_close_matches(unknown, choices, n=1) or [path for path in _paths(parent) if path.endswith(f".{unknown}")]
    meant = f"did you mean {'.'.join([near[0], *below])}? " if near else ""
    return f"{full_key}: no such key; {meant}choose from {', '.join(choices)}"


def _paths(node: DictConfig) -> Iterator[str]:
    """Every key below the node, from the node on."""
    for name, child in node.items_ex(resolve=False):
        yield (key := str(name))
        if key != "hydra" and isinstance(child, DictConfig) and not child._is_none():
            yield from (f"{key}.{path}" for path in _paths(child))


def _unreadable(error: OverrideParseException) -> str:
    """For what Hydra's grammar of overrides does not know, of which it tells in terms of its parser."""
    if "=" not in error.override:
        return f"{error.override}: must be key=value, as in seed=0,1,2"
    key, _, value = error.override.partition("=")
    if key == "ablation":
        try:
            _checked_name(value)
        except UserError as bad_name:
            return str(bad_name)
    return f"{error.override}: cannot be read; text needs quotes of its own, as in \"{key}='…'\", lists end in ]"


RULES = {  # OmegaConf's words, and what they mean
    "is not a ListConfig, list or tuple": "must be a list, as in [1, 2]",
    "is not a subclass of": "must map keys to values",
    "is not Optional": "must not be null",
    "is incompatible with (str)": "names are text: put it in quotes",
    "Cannot merge DictConfig with ListConfig": "has a list (- value) where keys must map to values (key: value)",
}


def _rule(error: OmegaConfBaseException) -> str:
    line = str(error).splitlines()[0]
    return next((rule for words, rule in RULES.items() if words in line), line)


def _sweep_without_m(error: BaseException) -> str | None:
    named = re.match(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'[\n ]", str(error))
    return f"{named.group(1)}: several values are a sweep; add -m" if named else None


def _choose(name: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    return f"{did_you_mean(name, choices)}choose from {', '.join(choices)}"


def _first_line(error: BaseException) -> str:
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip()) or type(error).__name__
