"""The paper's claims and what the results say of them: `python -m analysis.claims`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from analysis.claim import Claim, Expectation, has_ablation, judge, read_claims
from analysis.tables.claims import claims_table
from analysis.tables.collection import write_tables
from analysis.tables.terminal import print_table
from terminator.errors import UserError
from terminator.ledger import Ledger, default_root
from terminator.shipped import shipped

EMBEDDED_DATA = "digits"


def write_claims(
    root: Path, dataset: str = EMBEDDED_DATA, claims: Path | None = None, sweep: str | None = None
) -> Path:
    """Print the table of the claims in `claims` (default: sweeps/claims.yaml), and write it to
    ROOT/reports/claims/DATASET/, of one `sweep` to ROOT/reports/claims/SWEEP/.

    Returns that folder. Raises UserError for a file that holds no claims.
    """
    read = read_claims(claims or shipped("sweeps") / "claims.yaml")
    table = claims_table([judge(claim, root, dataset, sweep) for claim in read], dataset)
    print_table(table)
    folder = root / "reports" / "claims" / (sweep or dataset)
    write_tables([table], folder)
    print(f"Claims: {folder}")
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with the sweep's code where `--run` has runs without a result."""
    parser = argparse.ArgumentParser(prog="python -m analysis.claims", description="The paper's claims, tested here.")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    parser.add_argument("--data", default=EMBEDDED_DATA, metavar="DATASET", help=f"default: {EMBEDDED_DATA}")
    parser.add_argument("--claims", type=Path, help="another file than sweeps/claims.yaml")
    parser.add_argument("--run", action="store_true", help="first run the ablations that the claims need")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="with --run: what terminator.run is given, as seed=0,1,2,3,4"
    )
    given = parser.parse_args(arguments)
    if given.overrides and not given.run:
        parser.error(f"{' '.join(given.overrides)}: overrides are for the runs of --run, which is not given")
    root = default_root(given.root)
    code, sweep = 0, None
    try:
        if given.run:
            began = time.time()
            code = _run(
                read_claims(given.claims or shipped("sweeps") / "claims.yaml"), root, given.data, given.overrides
            )
            # Who typed settings wants to see what came of them.
            sweep = _newest(root, since=began) if given.overrides else None
        write_claims(root, given.data, given.claims, sweep)
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(code)


def _run(claims: Sequence[Claim], root: Path, dataset: str, overrides: Sequence[str]) -> int:
    """Run every ablation that there is, runs that they share once, and export the features that claims are about."""
    ablations = list(dict.fromkeys(claim.ablation for claim in claims if has_ablation(claim.ablation)))
    command = [sys.executable, "-m", "terminator.run", "-m", f"ablation={','.join(ablations)}"]
    code = subprocess.run([*command, f"data={dataset}", f"root={root}", *overrides], check=False).returncode
    for claim in claims:
        if claim.expect is Expectation.zero_mean:
            inspect = [sys.executable, "-m", "terminator.inspect", claim.ablation, "--variant", *claim.variants]
            subprocess.run([*inspect, "--root", str(root)], check=False)
    return code


def _newest(root: Path, since: float) -> str | None:
    """The sweep that was called last; None where that was before `since`."""
    return next((sweep.id for sweep in Ledger(root).sweeps() if sweep.last_called >= since), None)


if __name__ == "__main__":
    main()
