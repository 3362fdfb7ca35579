"""The paper's claims and what the results say of them: `python -m analysis.claims`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from terminator.analysis.figures.claims import claims_figure
from terminator.analysis.figures.style import save
from terminator.analysis.findings import Claim, Expectation, has_ablation, judge, read_claims
from terminator.analysis.tables.claims import claims_table
from terminator.analysis.tables.render import check_writable, print_table, write_tables
from terminator.config import shipped
from terminator.data.config import ENTRY_POINTS as DATA
from terminator.entry import Parser, start, typed
from terminator.errors import UserError, storage_errors
from terminator.ledger import Ledger, default_root
from terminator.plugins import installed
from terminator.text import did_you_mean, file_name

EMBEDDED_DATA = "digits"
BAD_INPUT = 2  # the exit code of a command that was refused
DESCRIPTION = """The paper's claims on its parts, and whether the results support or contradict them.

  terminator claims                               from the results that there are
  terminator claims --data digits mnist1d         on several data sets, side by side
  terminator claims --run seed=0,1,2 training.epochs=2    first run every ablation that the claims need"""


def write_claims(
    claims: Sequence[Claim], root: Path, datasets: Sequence[str] = (EMBEDDED_DATA,), sweeps: Sequence[str | None] = ()
) -> Path:
    """Print the table of the claims, and write it and its figure to ROOT/reports/claims/<the data sets, joined by +>/.

    `sweeps`: a sweep's id for each data set, which then names the folder in its place, or None for the newest; empty:
    None for all. Returns the folder.
    """
    chosen = dict(zip(datasets, sweeps or [None] * len(datasets), strict=True))
    judged = {dataset: [judge(claim, root, dataset, sweep) for claim in claims] for dataset, sweep in chosen.items()}
    table = claims_table(judged)
    print_table(table)
    folder = root / "reports" / "claims" / file_name("+".join(sweep or name for name, sweep in chosen.items()))
    write_tables([table], folder)
    save(claims_figure(judged), folder / "claims")
    print(f"Claims: {folder}")
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line. Exits with the sweep's code where `--run` has runs without a result."""
    parser = Parser(prog=typed("claims"), description=DESCRIPTION)
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    parser.add_argument(
        "--data",
        nargs="+",
        default=[EMBEDDED_DATA],
        metavar="DATASET",
        help=f"default: {EMBEDDED_DATA}",
    )
    parser.add_argument("--claims", type=Path, help="another file than sweeps/claims.yaml")
    parser.add_argument("--run", action="store_true", help="first run the ablations that the claims need")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="with --run: overrides of the runs, as seed=0,1,2,3,4"
    )
    given = parser.parse_args(arguments)
    overrides = [*given.overrides, *(word for word in given.data if "=" in word)]  # --data takes all words behind it
    datasets = [word for word in dict.fromkeys(given.data) if "=" not in word]
    if overrides and not given.run:
        parser.error(f"{' '.join(overrides)}: overrides are for the runs of --run, which is not given")
    if not datasets:
        parser.error("--data: must be followed by a data set's name")
    root = default_root(given.root)
    code, sweeps = 0, []
    try:
        claims = read_claims(given.claims or shipped("sweeps") / "claims.yaml")
        _check(datasets, root)
        check_writable(root / "reports" / "claims", f"root={root}")
        for dataset in datasets if given.run else ():
            began = time.time()
            code = _run(claims, root, dataset, overrides) or code
            if overrides:  # who gives settings wants to see what came of them
                sweeps += [next((each.id for each in Ledger(root).sweeps() if each.last_called >= began), None)]
        with storage_errors(root):
            write_claims(claims, root, datasets, sweeps)
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(code)


def _check(datasets: Sequence[str], root: Path) -> None:
    """Raises UserError for a data set that there is not, neither to run on nor among the results."""
    known = {path.stem for path in (shipped("conf") / "data").glob("*.yaml")} | {*installed(DATA)}
    known |= {name for sweep in Ledger(root).sweeps() for name in sweep.data}
    for name in datasets:
        if name not in known:
            choices = sorted(known)
            raise UserError(
                f"data={name}: no such data set; {did_you_mean(name, choices)}choose from {', '.join(choices)}"
            )


def _run(claims: Sequence[Claim], root: Path, dataset: str, overrides: Sequence[str]) -> int:
    """Run every ablation that there is, runs that they share once, and export the features that claims are about."""
    ablations = list(dict.fromkeys(claim.ablation for claim in claims if has_ablation(claim.ablation)))
    command = [sys.executable, "-m", "terminator.run", "-m", f"ablation={','.join(ablations)}"]
    code = subprocess.run([*command, f"data={dataset}", f"root={root}", *overrides], check=False).returncode
    if code == BAD_INPUT:
        sys.exit(code)
    for claim in claims:
        if claim.expect is Expectation.zero_mean:
            inspect = [sys.executable, "-m", "terminator.inspect", claim.ablation, "--variant", *claim.variants]
            subprocess.run([*inspect, "--root", str(root)], check=False)
    return code


if __name__ == "__main__":
    start(main)
