"""The paper's claims and what the results say of them: `python -m analysis.claims`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

from terminator.analysis.caveats import caveats
from terminator.analysis.features import read_features
from terminator.analysis.load import CONVERGENCE, FEWEST_EPOCHS, load
from terminator.analysis.results import Results, own_settings
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.ablation import difference_cells
from terminator.analysis.tables.render import print_table, write_tables
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING, places, verdict_text
from terminator.config import shipped
from terminator.entry import Parser, start, typed
from terminator.errors import UserError, storage_errors
from terminator.ledger import Ledger, Verdict, default_root

# Features count as zero-mean if no block's mean is farther from zero than this share of its standard deviation.
NEARLY_ZERO = 0.1
EMBEDDED_DATA = "digits"
DESCRIPTION = """The paper's claims on its parts, and whether the results support or contradict them.

  terminator claims                               from the results that there are
  terminator claims --run seed=0,1,2 training.epochs=2    first run every ablation that the claims need"""
NO_DIFFERENCE = Cell(NOTHING)
NEEDED_KEYS = ("claim", "ablation", "variants", "expect")
KEYS = (*NEEDED_KEYS, "metric")


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


SHOWN = {Expectation.worse: "worse", Expectation.not_better: "no better", Expectation.zero_mean: "zero mean"}
FINDINGS = {  # what is not listed contradicts
    (Expectation.worse, Verdict.worse): Finding.supported,
    (Expectation.worse, Verdict.undecided): Finding.undecided,
    (Expectation.not_better, Verdict.worse): Finding.supported,
    (Expectation.not_better, Verdict.equivalent): Finding.supported,
    (Expectation.not_better, Verdict.undecided): Finding.undecided,
}


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
    """What is known of one variant, from `n` pairs of runs, or `n` runs."""

    variant: str
    finding: Finding
    note: str = ""
    difference: Cell = NO_DIFFERENCE
    n: int = 0


@dataclass(frozen=True)
class Judged:
    """A claim with its evidence, a piece for each variant; `caveats`: what must be said with it; `settings`: those of
    the sweep behind it."""

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
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(entries, list):
        raise UserError(f"{path.name}: must be a list of claims")
    return [_claim(f"{path.name}, claim {number}", entry) for number, entry in enumerate(entries, 1)]


def _claim(where: str, entry: object) -> Claim:
    if not isinstance(entry, dict) or not set(NEEDED_KEYS) <= entry.keys():
        raise UserError(f"{where}: must have the keys {', '.join(NEEDED_KEYS)}; may have metric")
    if unknown := sorted(entry.keys() - set(KEYS)):
        raise UserError(f"{where}: {unknown[0]}: no such key; choose from {', '.join(KEYS)}")
    variants = entry["variants"]
    if not isinstance(variants, list) or not variants:
        raise UserError(f"{where}: variants={variants}: must be a list of variants' names")
    choices = [each.value for each in Expectation]
    if entry["expect"] not in choices:
        raise UserError(f"{where}: expect={entry['expect']}: choose from {', '.join(choices)}")
    expect = Expectation(entry["expect"])
    return Claim(str(entry["claim"]), str(entry["ablation"]), tuple(map(str, variants)), expect, entry.get("metric"))


def has_ablation(name: str) -> bool:
    """Whether there is such an ablation: its file in sweeps/ablation/."""
    return (shipped("sweeps") / "ablation" / f"{name}.yaml").exists()


def judge(claim: Claim, root: Path, dataset: str, sweep: str | None = None) -> Judged:
    """Hold a claim against the results on `dataset` under `root`: of `sweep`, else as `analysis.load` chooses them."""

    def unknown(why: str) -> Judged:
        return Judged(claim, tuple(Evidence(each, Finding.open, why) for each in claim.variants), settings=settings)

    settings: tuple[str, ...] = ()
    if not has_ablation(claim.ablation):
        return unknown(f"there is no ablation {claim.ablation} yet")
    try:
        results = load(root, claim.ablation, sweep=sweep, dataset=dataset)
    except UserError:
        return unknown(f"no results: {typed('run')} -m ablation={claim.ablation} data={dataset}")
    (question,) = results.questions
    settings = own_settings(question.sweep)
    if claim.expect is Expectation.zero_mean:
        zero_mean = tuple(_zero_mean(results, root, variant) for variant in claim.variants)
        of_variant = results.runs.groupby("variant")["config"].apply(list).to_dict()
        configs = {each: list(filter(None, of_variant.get(each, []))) for each in claim.variants}
        return Judged(claim, zero_mean, caveats(configs), settings)
    logged = results.metrics()
    if claim.metric == CONVERGENCE and logged and CONVERGENCE not in logged:
        return unknown(f"the runs are too short: it takes {FEWEST_EPOCHS} epochs to tell")
    try:
        summary = summarize(results, question, claim.metric)
    except UserError as error:
        return unknown(str(error))
    evidence = tuple(_difference(claim, summary, variant) for variant in claim.variants)
    return Judged(claim, evidence, summary.caveats, settings)


def _difference(claim: Claim, summary: Summary, name: str) -> Evidence:
    row = next((variant for variant in summary.variants if variant.name == name), None)
    if row is None or row.comparison is None:
        return Evidence(name, Finding.open, f"{summary.name} has no variant {name} beside its baseline")
    pairs, judgement = row.comparison.pairs, row.comparison.judgement
    if pairs.n == 0:
        why = f": {row.missing[0].why}" if row.missing else ""
        return Evidence(name, Finding.open, f"no pair of runs with a result{why}")
    finding = FINDINGS.get((claim.expect, judgement.verdict), Finding.contradicted)
    note = judgement.note
    if judgement.bound is not None:
        note = verdict_text(row, summary.metric)
    _, of_difference = places([summary])
    return Evidence(name, finding, note, difference_cells(summary, row, of_difference)[0], pairs.n)


def _zero_mean(results: Results, root: Path, variant: str) -> Evidence:
    keys = results.runs.loc[results.runs["variant"] == variant, "key"].unique()
    exported = [features for key in keys if (features := read_features(root, str(key))) is not None]
    if not exported:
        ablation = results.questions[0].ablation.name
        return Evidence(variant, Finding.open, f"no features: {typed('inspect')} {ablation} --variant {variant}")
    farthest = [features.farthest_from_zero for features in exported]
    near = [value <= NEARLY_ZERO for value in farthest]
    finding = Finding.supported if all(near) else Finding.undecided if any(near) else Finding.contradicted
    note = f"of a block's output, after GELU; zero-mean means at most {NEARLY_ZERO}"
    return Evidence(variant, finding, note, Cell(f"|mean| / std up to {np.mean(farthest):.2f}"), len(exported))


def claims_table(judged: Sequence[Judged], dataset: str) -> Table:
    """A row for each variant of each claim; the claim and its finding stand in its first row."""
    columns = (
        Column("Claim", numeric=False, long=True),
        *(Column(title, numeric=False) for title in ("Finding", "Ablation", "Variant", "Expected", "Found")),
        Column("Difference [95\u00a0%]"),
        Column("n"),
    )
    notes = (
        "A claim is supported if every variant is as expected, contradicted if one is surely not: at 5\u00a0%, after "
        "Holm's correction over all variants of the ablation. Differences are from its baseline, paired by seed, in "
        "its metric (accuracy in points).",
        *_settings(judged),
        *_caveats(judged),
        *chain.from_iterable(map(_notes, judged)),
    )
    section = Section("", tuple(row for each in judged for row in _rows(each, dataset)))
    return Table("claims", f"The paper's claims, on {dataset}", columns, (section,), notes)


def _rows(judged: Judged, dataset: str) -> Iterator[tuple[Cell, ...]]:
    claim = judged.claim
    data = {
        "claim": claim.text,
        "claim_finding": judged.finding.value,
        "ablation": claim.ablation,
        "data": dataset,
        "settings": " ".join(judged.settings),
        "caveats": " ".join(judged.caveats),
    }
    first = Cell(claim.text, data), Cell(judged.finding.value, missing=judged.finding is Finding.open)
    for number, each in enumerate(judged.evidence):
        yield (
            *((*first, Cell(claim.ablation)) if number == 0 else (Cell("", data), Cell(""), Cell(""))),
            Cell(each.variant, {"variant": each.variant}),
            Cell(SHOWN[claim.expect], {"expected": claim.expect.value}),
            Cell(each.finding.value, {"finding": each.finding.value, "note": each.note}),
            each.difference,
            Cell(str(each.n) if each.n else NOTHING, {"n": each.n}),
        )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The names that go with each text, each once, from (text, name); none for an empty text."""
    groups: dict[str, dict[str, None]] = {}
    for text, name in pairs:
        if text:
            groups.setdefault(text, {})[name] = None
    return {text: list(names) for text, names in groups.items()}


def _settings(judged: Sequence[Judged]) -> list[str]:
    """Those of the sweeps behind the claims; ablations with the same stand together."""
    ablations = _grouped((" ".join(each.settings), each.claim.ablation) for each in judged)
    return [f"Settings of {', '.join(names)}: {settings}." for settings, names in ablations.items()]


def _caveats(judged: Sequence[Judged]) -> list[str]:
    """Each once: what applies to all of one ablation's variants need not be repeated for some of another's."""
    every = dict.fromkeys(caveat for each in judged for caveat in each.caveats)
    return [caveat for caveat in every if not any(caveat.startswith(f"{other[:-1]}: ") for other in every)]


def _notes(judged: Judged) -> Iterator[str]:
    """Why something is open or undecided; once for several variants with the same reason."""
    for note, variants in _grouped((each.note, each.variant) for each in judged.evidence).items():
        of = "" if len(variants) == len(judged.evidence) else f" ({', '.join(variants)})"
        yield f"{judged.claim.text}{of}: {note}."


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
    parser = Parser(prog=typed("claims"), description=DESCRIPTION)
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    parser.add_argument("--data", default=EMBEDDED_DATA, metavar="DATASET", help=f"default: {EMBEDDED_DATA}")
    parser.add_argument("--claims", type=Path, help="another file than sweeps/claims.yaml")
    parser.add_argument("--run", action="store_true", help="first run the ablations that the claims need")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="with --run: overrides of the runs, as seed=0,1,2,3,4"
    )
    given = parser.parse_args(arguments)
    if given.overrides and not given.run:
        parser.error(f"{' '.join(given.overrides)}: overrides are for the runs of --run, which is not given")
    root = default_root(given.root)
    code, sweep = 0, None
    try:
        if given.run:
            began = time.time()
            claims = read_claims(given.claims or shipped("sweeps") / "claims.yaml")
            code = _run(claims, root, given.data, given.overrides)
            if given.overrides:  # who gives settings wants to see what came of them
                sweep = next((each.id for each in Ledger(root).sweeps() if each.last_called >= began), None)
        with storage_errors(root):
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


if __name__ == "__main__":
    start(main)
