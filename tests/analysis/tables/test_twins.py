from __future__ import annotations

from pathlib import Path

from terminator import analysis
from terminator.analysis.summary import summarize
from terminator.analysis.tables.notes import notes
from tests.analysis.ledgers import Invented, Row

TWIN = {"model.gate": "mixer", "model.width": 2.0}


def test_a_twin_that_misses_its_budget_is_no_control(tmp_path: Path) -> None:
    """The invented runs have 100,000 parameters, 109,000 and 118,000."""
    rows = [
        Row("full"),
        Row("plain", {"model.gate": "mixer"}),
        Row("plain@parameters", TWIN, twin_of="plain"),
    ]
    Invented(rows).write(tmp_path)
    results = analysis.load(tmp_path)
    said = [note for note in notes([summarize(results, results.questions[0])]) if "misses" in note]
    assert said == ["plain@parameters misses the parameters of full by +18 %: it is no control of equal size."]
