"""The paper's claims, and what the results say of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import yaml

from terminator.analysis.caveats import caveats
from terminator.analysis.features import read_features
from terminator.analysis.load import CONVERGENCE, FEWEST_EPOCHS, load
from terminator.analysis.results import Results, own_settings
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.ablation import difference_cells
from terminator.analysis.tables.table import Cell
from terminator.analysis.text import NOTHING, number, places, verdict_text
from terminator.config import shipped
from terminator.entry import typed
from terminator.errors import UserError
from terminator.ledger import Verdict

# Features count as zero-mean if no block's mean is farther from zero than this share of its standard deviation.
NEARLY_ZERO = 0.1
NO_DIFFERENCE = Cell(NOTHING)
NO_RESULTS = "no results"
NEEDED_KEYS = ("claim", "ablation", "variants", "expect")
KEYS = (*NEEDED_KEYS, "metric")


class Expectation(Enum):
    """What a claim expects of its variants."""

    worse = "worse"
    not_better = "not_better"
    zero_mean = "zero_mean"


class Finding(Enum):
    """What the results say of an expectation, or of a whole claim; undecided, too, where there are none."""

    supported = "supported"
    contradicted = "contradicted"
    undecided = "undecided"


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
    """What is known of one variant, from `n` pairs of runs, or `n` runs; `mean`: of differences or features."""

    variant: str
    finding: Finding
    note: str = ""
    difference: Cell = NO_DIFFERENCE
    mean: str = ""
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
        """Supported if all the evidence is; contradicted if some of it is; else undecided."""
        findings = {each.finding for each in self.evidence}
        if findings == {Finding.supported}:
            return Finding.supported
        return Finding.contradicted if Finding.contradicted in findings else Finding.undecided

    @property
    def has_results(self) -> bool:
        """Whether there is a result that says anything of a variant."""
        return any(each.n for each in self.evidence)


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
        return Judged(
            claim, tuple(Evidence(each, Finding.undecided, why) for each in claim.variants), settings=settings
        )

    settings: tuple[str, ...] = ()
    if not has_ablation(claim.ablation):
        return unknown(f"there is no ablation {claim.ablation} yet")
    try:
        results = load(root, claim.ablation, sweep=sweep, dataset=dataset)
    except UserError:
        return unknown(NO_RESULTS)
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
        return Evidence(name, Finding.undecided, f"{summary.name} has no variant {name} beside its baseline")
    pairs, judgement = row.comparison.pairs, row.comparison.judgement
    if pairs.n == 0:
        why = f": {row.missing[0].why}" if row.missing else ""
        return Evidence(name, Finding.undecided, f"no pair of runs with a result{why}")
    finding = FINDINGS.get((claim.expect, judgement.verdict), Finding.contradicted)
    note = judgement.note
    if judgement.bound is not None:
        note = verdict_text(row, summary.metric)
    _, of_difference = places([summary])
    mean = number(pairs.mean, of_difference, sign=True)
    return Evidence(name, finding, note, difference_cells(summary, row, of_difference)[0], mean, pairs.n)


def _zero_mean(results: Results, root: Path, variant: str) -> Evidence:
    keys = results.runs.loc[results.runs["variant"] == variant, "key"].unique()
    exported = [features for key in keys if (features := read_features(root, str(key))) is not None]
    if not exported:
        ablation = results.questions[0].ablation.name
        return Evidence(variant, Finding.undecided, f"no features: {typed('inspect')} {ablation} --variant {variant}")
    farthest = [features.farthest_from_zero for features in exported]
    near = [value <= NEARLY_ZERO for value in farthest]
    finding = Finding.supported if all(near) else Finding.undecided if any(near) else Finding.contradicted
    note = f"of a block's output, after GELU; zero-mean means at most {NEARLY_ZERO}"
    mean = f"{np.mean(farthest):.2f}"
    return Evidence(variant, finding, note, Cell(f"|mean| / std up to {mean}"), mean, len(exported))
