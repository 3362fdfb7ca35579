"""The paper's claims and what the results say of them: `python -m analysis.claims`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import yaml

from terminator.analysis.caveats import caveats
from terminator.analysis.features import read_features
from terminator.analysis.load import CONVERGENCE, FEWEST_EPOCHS, load
from terminator.analysis.results import Results
from terminator.analysis.statistics.verdict import Verdict
from terminator.analysis.summary import Summary, VariantSummary, summarize
from terminator.analysis.tables.ablation import difference_cells
from terminator.analysis.tables.collection import write_tables
from terminator.analysis.tables.render import print_table
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, decimals
from terminator.config import shipped
from terminator.errors import UserError
from terminator.ledger import Ledger, default_root
from terminator.text import counted

# Features count as zero-mean if no block's mean is farther from zero than this share of its standard deviation.
NEARLY_ZERO = 0.1


class Expectation(Enum):
    """What a claim expects of its variants."""

    worse = "worse"
    not_better = "not_better"
    zero_mean = "zero_mean"


class Finding(Enum):
    """What the results say of an expectation, or of a whole claim; open where there are no results to say anything."""

    supported = "supported"
    contradicted = "contradicted"
    undecided = "undecided"
    open = "open"


@dataclass(frozen=True)
class Claim:
    """One entry of sweeps/claims.yaml. `metric`: None for the ablation's own."""

    text: str
    ablation: str
    variants: tuple[str, ...]
    expect: Expectation
    metric: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What is known of one variant. `value` is in words where it is no difference from the baseline."""

    variant: str
    finding: Finding
    note: str = ""
    summary: Summary | None = None
    row: VariantSummary | None = None
    value: str = ""
    n: int = 0


@dataclass(frozen=True)
class Judged:
    """A claim with its evidence, a piece for each variant; `caveats`: what must be said with it; `settings`: what the
    sweep behind it was typed with."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    caveats: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """Supported if all the evidence is; contradicted if some of it is; open if nothing is known of any variant."""
        findings = {each.finding for each in self.evidence}
        if findings == {Finding.supported}:
            return Finding.supported
        if Finding.contradicted in findings:
            return Finding.contradicted
        return Finding.open if findings == {Finding.open} else Finding.undecided


def read_claims(path: Path) -> list[Claim]:
    """The claims in a YAML file. Raises UserError, naming the entry, for what is no claim."""
    entries = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(entries, list):
        raise UserError(f"{path.name}: must be a list of claims")
    return [_claim(path.name, number, entry) for number, entry in enumerate(entries, 1)]


def has_ablation(name: str) -> bool:
    """Whether there is such an ablation: its file in sweeps/ablation/."""
    return (shipped("sweeps") / "ablation" / f"{name}.yaml").exists()


def judge(claim: Claim, root: Path, dataset: str, sweep: str | None = None) -> Judged:
    """Hold a claim against the results on `dataset` under `root`: of `sweep`, else as `analysis.load` chooses them."""
    if not has_ablation(claim.ablation):
        return _open(claim, f"there is no ablation {claim.ablation} yet")
    try:
        results = load(root, claim.ablation, sweep=sweep, dataset=dataset)
    except UserError:
        return _open(claim, f"no results: python -m terminator.run -m ablation={claim.ablation} data={dataset}")
    settings = results.questions[0].settings
    if claim.expect is Expectation.zero_mean:
        evidence = tuple(_zero_mean(results, root, variant) for variant in claim.variants)
        said = caveats({each: _configs(results, each) for each in claim.variants})
        return Judged(claim, evidence, said, settings)
    logged = results.metrics()
    if claim.metric == CONVERGENCE and logged and CONVERGENCE not in logged:
        return _open(claim, f"the runs are too short: it takes {FEWEST_EPOCHS} epochs to tell", settings)
    try:
        summary = summarize(results, results.questions[0], claim.metric)
    except UserError as error:
        return _open(claim, str(error), settings)
    evidence = tuple(_difference(claim, summary, variant) for variant in claim.variants)
    return Judged(claim, evidence, summary.caveats, settings)


def _difference(claim: Claim, summary: Summary, name: str) -> Evidence:
    row = next((variant for variant in summary.variants if variant.name == name), None)
    if row is None or row.comparison is None:
        return Evidence(name, Finding.open, f"{summary.question.name} has no variant {name} beside its baseline")
    if row.comparison.pairs.n == 0:
        why = f": {row.missing[0].why}" if row.missing else ""
        return Evidence(name, Finding.open, f"no pair of runs with a result{why}")
    judgement = row.comparison.judgement
    finding = _FINDINGS[claim.expect].get(judgement.verdict, Finding.contradicted)
    more = judgement.more_seeds
    note = f"about {counted(more, 'more seed')} needed" if more else judgement.note
    return Evidence(name, finding, note, summary, row, n=row.comparison.pairs.n)


_FINDINGS = {
    Expectation.worse: {Verdict.worse: Finding.supported, Verdict.undecided: Finding.undecided},
    Expectation.not_better: {
        Verdict.worse: Finding.supported,
        Verdict.equivalent: Finding.supported,
        Verdict.undecided: Finding.undecided,
    },
}


def _configs(results: Results, variant: str) -> list[dict[str, object]]:
    configs = results.runs.loc[results.runs["variant"] == variant, "config"]
    return [config for config in configs if isinstance(config, dict)]


def _zero_mean(results: Results, root: Path, variant: str) -> Evidence:
    keys = results.runs.loc[results.runs["variant"] == variant, "key"].unique()
    exported = [features for key in keys if (features := read_features(root, str(key))) is not None]
    if not exported:
        note = f"no features: python -m terminator.inspect {results.questions[0].name} --variant {variant}"
        return Evidence(variant, Finding.open, note)
    farthest = [features.farthest_from_zero for features in exported]
    near = [value <= NEARLY_ZERO for value in farthest]
    finding = Finding.supported if all(near) else Finding.undecided if any(near) else Finding.contradicted
    value = f"|mean| / std up to {np.mean(farthest):.2f}"
    return Evidence(
        variant,
        finding,
        f"of a block's output, after GELU; zero-mean means at most {NEARLY_ZERO}",
        value=value,
        n=len(exported),
    )


def _open(claim: Claim, why: str, settings: tuple[str, ...] = ()) -> Judged:
    return Judged(claim, tuple(Evidence(each, Finding.open, why) for each in claim.variants), settings=settings)


def _claim(file: str, number: int, entry: object) -> Claim:
    where = f"{file}, claim {number}"
    if not isinstance(entry, dict) or not {"claim", "ablation", "variants", "expect"} <= entry.keys():
        raise UserError(f"{where}: must have the keys claim, ablation, variants, expect; may have metric")
    unknown = sorted(entry.keys() - {"claim", "ablation", "variants", "expect", "metric"})
    if unknown:
        raise UserError(f"{where}: {unknown[0]}: no such key; choose from claim, ablation, variants, expect, metric")
    variants: Sequence[object] = entry["variants"]
    if not isinstance(variants, list) or not variants:
        raise UserError(f"{where}: variants={variants}: must be a list of variants' names")
    choices = [each.value for each in Expectation]
    if entry["expect"] not in choices:
        raise UserError(f"{where}: expect={entry['expect']}: choose from {', '.join(choices)}")
    expect = Expectation(entry["expect"])
    return Claim(str(entry["claim"]), str(entry["ablation"]), tuple(map(str, variants)), expect, entry.get("metric"))


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


EXPECTED = {
    Expectation.worse: "worse",
    Expectation.not_better: "no better",
    Expectation.zero_mean: "zero mean",
}


def claims_table(judged: Sequence[Judged], dataset: str) -> Table:
    """A row for each variant of each claim; the claim and its finding stand in its first row."""
    columns = (
        Column("Claim", numeric=False, long=True),
        Column("Finding", numeric=False),
        Column("Ablation", numeric=False),
        Column("Variant", numeric=False),
        Column("Expected", numeric=False),
        Column("Found", numeric=False),
        Column("Difference [95\u00a0%]"),
        Column("n"),
    )
    rows = tuple(row for each in judged for row in _rows(each, dataset))
    notes = (
        "A claim is supported if every variant is as expected, contradicted if one is surely not: at 5\u00a0%, after "
        "Holm's correction over all variants of the ablation. Differences are from its baseline, paired by seed, in "
        "its metric (accuracy in points).",
        *_settings(judged),
        *_caveats(judged),
        *_notes(judged),
    )
    return Table("claims", f"The paper's claims, on {dataset}", columns, (Section("", rows),), notes)


def _settings(judged: Sequence[Judged]) -> Iterator[str]:
    """What the sweeps behind the claims were typed with; ablations with the same stand together."""
    ablations: dict[str, list[str]] = {}
    for each in judged:
        ablations.setdefault(" ".join(each.settings), []).append(each.claim.ablation)
    for settings, names in ablations.items():
        if settings:
            yield f"Settings of {', '.join(dict.fromkeys(names))}: {settings}."


def _rows(judged: Judged, dataset: str) -> Iterator[tuple[Cell, ...]]:
    claim = judged.claim
    for number, evidence in enumerate(judged.evidence):
        first = number == 0
        data = {
            "claim": claim.text,
            "claim_finding": judged.finding.value,
            "ablation": claim.ablation,
            "data": dataset,
            "settings": " ".join(judged.settings),
            "caveats": " ".join(judged.caveats),
        }
        yield (
            Cell(claim.text if first else "", data),
            Cell(judged.finding.value if first else "", missing=first and judged.finding is Finding.open),
            Cell(claim.ablation if first else ""),
            Cell(evidence.variant, {"variant": evidence.variant}),
            Cell(EXPECTED[claim.expect], {"expected": claim.expect.value}),
            Cell(evidence.finding.value, {"finding": evidence.finding.value, "note": evidence.note}),
            _difference_cell(evidence),
            Cell(str(evidence.n) if evidence.n else NOTHING, {"n": evidence.n}),
        )


def _difference_cell(evidence: Evidence) -> Cell:
    if evidence.summary is None or evidence.row is None:
        return Cell(evidence.value or NOTHING)
    summary = evidence.summary
    places = decimals(summary.half_widths(), default=decimals([each.std for each in summary.variants]))
    return difference_cells(summary, evidence.row, places)[0]


def _caveats(judged: Sequence[Judged]) -> list[str]:
    """Each once: what is said of all of one ablation's variants need not be said again of some of another's."""
    said = dict.fromkeys(caveat for each in judged for caveat in each.caveats)
    return [caveat for caveat in said if not any(caveat.startswith(f"{other[:-1]}: ") for other in said)]


def _notes(judged: Sequence[Judged]) -> Iterator[str]:
    """Why something is open or undecided; the same of several variants is said once."""
    for each in judged:
        reasons: dict[str, list[str]] = {}
        for evidence in each.evidence:
            if evidence.note:
                reasons.setdefault(evidence.note, []).append(evidence.variant)
        for note, variants in reasons.items():
            of = "" if len(variants) == len(each.evidence) else f" ({', '.join(variants)})"
            yield f"{each.claim.text}{of}: {note}."


if __name__ == "__main__":
    main()
