"""The installed command: `terminator run …`, `terminator sweeps …`, `terminator report …`."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

from terminator.entry import start
from terminator.text import did_you_mean

# Each command's module, whose `main` takes the rest of the command line, and its purpose.
COMMANDS = {
    "run": ("terminator.run.command", "train one model, or with -m plan and run a sweep"),
    "sweeps": ("terminator.sweeps.commands", "come back to a sweep: list, status, watch, retry, cancel, sync, logs"),
    "report": ("terminator.analysis.report", "tables, figures and one page from the results"),
    "export": ("terminator.loading", "a trained network to a file that terminator.load reads anywhere"),
    "data": ("terminator.fetch", "data sets: list them, fetch those that runs on a cluster will need"),
    "claims": ("terminator.analysis.claims", "the paper's claims, and what the results say of them"),
    "inspect": ("terminator.inspect", "export a trained network's kernels and feature maps, for the figures"),
    "completion": ("terminator.completion", 'tab completion: eval "$(terminator completion bash)", or zsh'),
}
EXAMPLES = """examples:
  terminator run data=digits model.gate=glu seed=0     train one model
  terminator run -m ablation=branches sweep.plan=true  what an ablation would run, and what that costs
  terminator run -m ablation=branches                  run it; typed again, it runs only what is missing
  terminator sweeps status                             where the newest sweep stands
  terminator report branches                           its tables, figures and page

`terminator COMMAND --help` says more of each."""


def main() -> None:
    """Hand the rest of the command line to the command's own entry point."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command in COMMANDS:
        if not {"", os.getcwd()} & {*sys.path}:
            sys.path.append(os.getcwd())  # networks of one's own are there, as for python -m
        sys.argv = [f"terminator {command}", *sys.argv[2:]]
        start(COMMANDS[command][0])
    elif command in ("", "-h", "--help"):
        start(_help)
    elif command == "--version":
        print(f"terminator {_version()}")
    else:
        meant = did_you_mean(command, COMMANDS)
        print(f"terminator: {command}: no such command; {meant}choose from {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


def _help() -> None:
    lines = [f"  {name:11} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    print("\n".join(["usage: terminator COMMAND …", "", "commands:", *lines, "", EXAMPLES]))


def _version() -> str:
    try:
        return version("terminator-ablations")
    except PackageNotFoundError:
        return "of a checkout, not installed"


if __name__ == "__main__":
    main()
