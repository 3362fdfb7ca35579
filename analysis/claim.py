"""A claim, what it expects, and what the results say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import yaml

from analysis.caveats import caveats
from analysis.derived import CONVERGENCE, FEWEST_EPOCHS
from analysis.features import read_features
from analysis.load import load
from analysis.results import Results
from analysis.statistics.verdict import Verdict
from analysis.summary import Summary, VariantSummary, summarize
from terminator.counting import counted
from terminator.errors import UserError
from terminator.shipped import shipped

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
