"""The findings on the paper's claims as a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from terminator.analysis.findings import NO_RESULTS, Expectation, Judged
from terminator.analysis.tables.table import Cell, Column, Section, Table
from terminator.analysis.text import NOTHING
from terminator.entry import typed

SHOWN = {Expectation.worse: "worse", Expectation.not_better: "no better", Expectation.zero_mean: "zero mean"}
JUDGED_BY = (
    "A claim is supported if every variant is as expected, contradicted if one is surely not: at 5\u00a0%, after "
    "Holm's correction over all variants of the ablation. Differences are from its baseline, paired by seed, in its "
    "metric (accuracy in points)."
)


def claims_table(judged: Mapping[str, Sequence[Judged]]) -> Table:
    """From data set → claims, a row for each variant of each; the claim and its finding stand in its first row."""
    columns = (
        Column("Claim", numeric=False, long=True),
        *(Column(title, numeric=False) for title in ("Finding", "Ablation", "Variant", "Expected", "Found")),
        Column("Difference [95\u00a0%]"),
        Column("n"),
    )
    alone = len(judged) == 1
    sections = tuple(
        Section("" if alone else dataset, tuple(row for claim in claims for row in _rows(claim, dataset)))
        for dataset, claims in judged.items()
    )
    notes = _grouped((note, dataset) for dataset, claims in judged.items() for note in _notes(claims))
    of = {note: "" if len(datasets) == len(judged) else f"{', '.join(datasets)}: " for note, datasets in notes.items()}
    unrun = _grouped(
        (dataset, each.claim.ablation)
        for dataset, claims in judged.items()
        for each in claims
        if each.evidence[0].note == NO_RESULTS
    )
    return Table(
        "claims",
        f"The paper's claims, on {', '.join(judged)}",
        columns,
        sections,
        (JUDGED_BY, *(f"{datasets}{note}" for note, datasets in of.items())),
        advice=tuple(
            f"Without results on {dataset}: {', '.join(names)}. Run what is missing: {typed('claims')} --run --data "
            f"{dataset}"
            for dataset, names in unrun.items()
        ),
    )


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
    first = Cell(claim.text, data), Cell(judged.finding.value, missing=not judged.has_results)
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


def _notes(judged: Sequence[Judged]) -> Iterator[str]:
    yield from _settings(judged)
    yield from _caveats(judged)
    yield from chain.from_iterable(map(_reasons, judged))


def _reasons(judged: Judged) -> Iterator[str]:
    """Why something is undecided; once for several variants with the same reason."""
    said = ((each.note, each.variant) for each in judged.evidence if each.note != NO_RESULTS)
    for note, variants in _grouped(said).items():
        of = "" if len(variants) == len(judged.evidence) else f" ({', '.join(variants)})"
        yield f"{judged.claim.text}{of}: {note}."
