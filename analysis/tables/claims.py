"""The table of claims: what each expects, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.claim import Evidence, Expectation, Finding, Judged
from analysis.digits import NOTHING, decimals
from analysis.tables.ablation import difference_cells
from analysis.tables.table import Cell, Column, Section, Table

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
            _difference(evidence),
            Cell(str(evidence.n) if evidence.n else NOTHING, {"n": evidence.n}),
        )


def _difference(evidence: Evidence) -> Cell:
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
