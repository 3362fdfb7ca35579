"""The installed command: `terminator run …`, `terminator sweeps …`, `terminator report …`."""

from __future__ import annotations

import sys

WORDS = {
    "run": "train one model, or with -m plan and run a sweep",
    "sweeps": "come back to a sweep: list, status, watch, retry, cancel, sync, logs",
    "report": "tables, figures and one page from the results",
    "claims": "the paper's claims, and what the results say of them",
}


def main() -> None:
    """Hand the rest of the command line to the word's own entry point."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in WORDS:
        lines = [f"  terminator {name:8} {purpose}" for name, purpose in WORDS.items()]
        stream = sys.stdout if word in ("", "-h", "--help") else sys.stderr
        unknown = [] if stream is sys.stdout else [f"terminator: {word}: no such word"]
        print("\n".join([*unknown, "usage:", *lines]), file=stream)
        sys.exit(0 if stream is sys.stdout else 2)
    sys.argv = [f"terminator {word}", *sys.argv[2:]]
    if word == "run":
        from terminator.run import main as run

        run()
    elif word == "sweeps":
        from terminator.sweeps.__main__ import main as sweeps

        sweeps()
    elif word == "report":
        from terminator.analysis.report import main as report

        report()
    else:
        from terminator.analysis.claims import main as claims

        claims()


if __name__ == "__main__":
    main()
