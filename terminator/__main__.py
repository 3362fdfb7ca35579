"""The installed command: `terminator run …`, `terminator sweeps …`, `terminator report …`."""

from __future__ import annotations

import sys

from terminator.entry import start

# Each command's module, whose `main` takes the rest of the command line, and its purpose.
COMMANDS = {
    "run": ("terminator.run.command", "train one model, or with -m plan and run a sweep"),
    "sweeps": ("terminator.sweeps.commands", "come back to a sweep: list, status, watch, retry, cancel, sync, logs"),
    "report": ("terminator.analysis.report", "tables, figures and one page from the results"),
    "claims": ("terminator.analysis.claims", "the paper's claims, and what the results say of them"),
}


def main() -> None:
    """Hand the rest of the command line to the command's own entry point."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in COMMANDS:
        asked = command in ("", "-h", "--help")
        lines = [f"  terminator {name:8} {purpose}" for name, (_, purpose) in COMMANDS.items()]
        unknown = [] if asked else [f"terminator: {command}: no such command"]
        print("\n".join([*unknown, "usage:", *lines]), file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    sys.argv = [f"terminator {command}", *sys.argv[2:]]
    start(COMMANDS[command][0])


if __name__ == "__main__":
    main()
