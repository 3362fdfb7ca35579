"""Tab completion of `terminator` in bash and zsh: `eval "$(terminator completion bash)"`, in ~/.bashrc say.

The shell asks `terminator completion words` for what may come next. Keys and choices of `terminator run` come from
Hydra's own completion, sweeps and ablations from the ledger.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from itertools import pairwise
from typing import Any

from hydra import initialize_config_dir
from hydra._internal.core_plugins.bash_completion import BashCompletion
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import BooleanNode, DictConfig, EnumNode, OmegaConf

from terminator.__main__ import COMMANDS
from terminator.config import shipped, shipped_data
from terminator.entry import Parser, typed
from terminator.ledger import Ledger, default_root
from terminator.planning.settings import register_schemas
from terminator.text import override_value

SCRIPTS = {
    "bash": r"""
_terminator() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##* }" cut=""
    COMPREPLY=($(compgen -W "$(COMP_LINE="$line" terminator completion words 2>/dev/null)" -- "$word"))
    # readline replaces only what follows the last =
    [[ "$COMP_WORDBREAKS" == *=* && "$word" == *=* ]] && cut="${word%=*}="
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" != *[=./] ]] && compopt +o nospace
    return 0
}
complete -o default -o nospace -F _terminator terminator
""",
    "zsh": r"""
_terminator() {
    local -a choices
    choices=(${(f)"$(COMP_LINE="${BUFFER[1,CURSOR]}" terminator completion words 2>/dev/null)"})
    compadd -S '' -- $choices || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _terminator terminator
""",
}
VERBS = ("list", "status", "watch", "retry", "cancel", "sync", "logs")
OF_RUN = ("--config-dir", "--help", "--json", "--multirun", "--cfg", "--info")


def main() -> None:
    """Print a shell's script, or the words for the line in COMP_LINE."""
    parser = Parser(prog=typed("completion"), description=__doc__)
    parser.add_argument("what", choices=[*SCRIPTS, "words"], help="the shell; `words` is what its script calls")
    given = parser.parse_args()
    if given.what in SCRIPTS:
        print(SCRIPTS[given.what].strip())
    else:
        print("\n".join(words(os.environ.get("COMP_LINE", ""))))


def words(line: str) -> list[str]:
    """What the last word of the line may become; all that may follow where it ends in a space."""
    before = line.split()[1:]
    word = before.pop() if before and not line.endswith(" ") else ""
    if not before:
        known = [*COMMANDS, "--help", "--version"]
    elif before[0] == "run":
        known = list(OF_RUN) if word.startswith("-") else _overrides(before[1:], word)
    elif before[0] == "sweeps":
        known = list(VERBS) if before[1:] == [] else [sweep.id for sweep in _ledger(before).sweeps()]
    elif before[0] == "data":
        known = ["list", "fetch"] if before[1:] == [] else list(shipped_data())
    elif before[0] in ("report", "inspect"):
        known = [each.name for sweep in _ledger(before).sweeps() for each in sweep.ablations if not each.is_tuning]
    else:
        known = list(SCRIPTS) if before[0] == "completion" else []
    return [each for each in dict.fromkeys(known) if each.startswith(word)]


def _ledger(before: list[str]) -> Ledger:
    given = dict(pairwise(before))
    return Ledger(default_root(given.get("--root")))


def _overrides(before: list[str], word: str) -> list[str]:
    """Hydra's answer; none for a line that it refuses."""
    sys.argv = ["terminator run", *before]  # --config-dir is read from there
    register_schemas()
    GlobalHydra.instance().clear()
    with (
        contextlib.suppress(SystemExit, Exception),
        contextlib.redirect_stderr(io.StringIO()),
        initialize_config_dir(str(shipped("conf")), version_base="1.3"),
    ):
        loader = GlobalHydra.instance().config_loader()
        key, is_value, _ = word.partition("=")
        if not is_value:  # groups end in = or /, keys in = or . ; folders beside the groups in neither
            found = BashCompletion(loader)._query("config", " ".join([*before, word]))
            return [each for each in found if each.endswith(("=", ".", "/"))]
        if choices := loader.get_group_options(key):
            return [f"{key}={choice}" for choice in choices]
        set_before = [each for each in before if "=" in each]
        config = loader.load_configuration("config", set_before, RunMode.MULTIRUN)
        return [f"{key}={value}" for value in _values(config, key)]
    return []


def _values(config: DictConfig, key: str) -> list[str]:
    """The choices of an enumeration or a switch; else the value as it is."""
    parent, _, name = key.rpartition(".")
    node: Any = OmegaConf.select(config, parent)._get_node(name) if parent else config._get_node(name)
    if isinstance(node, EnumNode):
        return list(node.enum_type.__members__)
    return ["true", "false"] if isinstance(node, BooleanNode) else [override_value(node._value())]
