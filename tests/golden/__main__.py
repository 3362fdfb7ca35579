"""`python -m tests.golden DIR`: hold the model to every golden file of a directory."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden.checks import check_file


def main(arguments: list[str]) -> int:
    """One line a file, a summary last. Returns the exit code: 1 if any file fails, 2 for a wrong call."""
    if len(arguments) != 1:
        print("usage: python -m tests.golden DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        print(f"{folder}: no *.safetensors files there", file=sys.stderr)
        return 1
    passed = [report(path) for path in paths]
    print(f"{sum(passed)} of {len(paths)} golden files passed")
    return 0 if all(passed) else 1


def report(path: Path) -> bool:
    """Check one file and print its line. A file that cannot be checked fails."""
    try:
        deviations = check_file(path)
    except Exception as error:  # whatever is wrong with a file, the others are still checked
        print(f"FAILED  {path.name}: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    passed = all(deviation.is_within for deviation in deviations)
    worst = max(deviations, key=lambda deviation: deviation.value / deviation.tolerance)
    print(
        f"{'passed' if passed else 'FAILED'}  {path.name}: largest relative deviation {worst.value:.1e} in {worst.name}"
        f" (at most {worst.tolerance:.0e})"
    )
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
