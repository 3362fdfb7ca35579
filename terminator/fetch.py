"""The command `terminator data`: which data sets there are, and fetching those that are published elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from terminator.config import data_sets, shipped
from terminator.data import fetched
from terminator.data.config import DataConfig
from terminator.data.hub import fetch
from terminator.entry import Parser, interruptible, typed
from terminator.errors import UserError
from terminator.loading import one_line_each
from terminator.text import did_you_mean

DESCRIPTION = """Which data sets there are, and which of them are on this machine.

  terminator data list                    every set, its images or sequences, and where it is
  terminator data fetch cifar10 mnist     download these, where there is network: runs then need none

A set is fetched with Hugging Face `datasets` and kept, decoded, in the user's cache folder (XDG_CACHE_HOME, else
~/.cache), which the nodes of a cluster must see."""
SOURCES = {  # of the sets that are not fetched
    "digits": "comes with scikit-learn",
    "folder": "your own, in data.folder",
    "mnist1d": "generated where it is needed",
    "pathfinder": "generated where it is needed",
}


def main() -> None:
    """`list` and `fetch`. What cannot be fetched gets a line each on stderr, and exit code 2 at the end."""
    parser = Parser(prog=typed("data"), description=DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", metavar="{list,fetch}", required=True)
    verbs.add_parser("list", help="every set, and where it is")
    verbs.add_parser("fetch", help="download sets").add_argument("names", nargs="+", metavar="NAME")
    for verb in verbs.choices.values():
        verb.add_argument("--config-dir", type=Path, metavar="DIR", help="also your own sets, DIR/data/*.yaml")
    given = parser.parse_args()
    failed = False
    with one_line_each():
        sets = data_sets(shipped("conf"), *([given.config_dir] if given.config_dir else []))
        if given.verb == "list":
            print("\n".join(_line(name, config) for name, config in sets.items()))
            return
        for config in [_published(name, sets) for name in dict.fromkeys(given.names)]:
            try:
                with interruptible():  # to leave no half of a file behind
                    fetch(config)
                print(_line(config.name, config))
            except UserError as error:
                print(f"terminator: {error}", file=sys.stderr)
                failed = True
    sys.exit(2 if failed else 0)


def _published(name: str, sets: Mapping[str, DataConfig]) -> DataConfig:
    """Raises UserError for a set that there is not, and one that is not fetched."""
    choices = [each for each, config in sets.items() if config.format == "hub"]
    if name in choices:
        return sets[name]
    what = SOURCES[sets[name].format] if name in sets else "no such data set"
    raise UserError(f"data={name}: {what}; {did_you_mean(name, choices)}choose from {', '.join(choices)}")


def _line(name: str, config: DataConfig) -> str:
    """`cifar10       images 3×32×32, 10 classes       50,000 train + 10,000 test, 184 MB in …`."""
    what = ""
    if config.image_shape:  # else it is read from the files
        kind, shape = "sequences" if config.is_sequence else "images", "×".join(map(str, config.input_shape))
        what = f"{kind} {shape}, {config.classes} classes"
    return f"{name:14}{what:34}{_where(config)}"


def _where(config: DataConfig) -> str:
    if config.format != "hub":
        return SOURCES[config.format]
    try:
        found = fetched.facts(config)
    except UserError as error:
        return str(error)
    if found is None:
        return f"not fetched: {config.repository} of the Hugging Face hub"
    path = fetched.location(config)
    sizes = " + ".join(f"{size:,} {split}" for split, size in found.sizes.items())
    return f"{sizes}, {path.stat().st_size / 1e6:,.1f} MB in {path}"
