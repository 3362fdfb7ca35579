from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import analysis
from analysis.caveats import OPTIMISTIC, SEQUENCES, caveats
from analysis.summary import summarize
from analysis.tables.notes import notes
from tests.analysis.ledgers import Row, branches


def test_held_out_images_need_none() -> None:
    config = {"training": {"protocol": "holdout"}, "data": {"name": "digits"}, "model": {"architecture": "terminator"}}
    assert caveats({"full": [config], "pending": []}) == ()


def test_the_release_s_protocol_is_marked_optimistic(tmp_path: Path) -> None:
    rows = [Row("full"), Row("release", {"training.protocol": "release"})]
    branches(rows=rows).write(tmp_path)
    results = analysis.load(tmp_path)
    (summary,) = (summarize(results, question) for question in results.questions)
    assert summary.caveats == (f"{OPTIMISTIC}: release.",)
    assert summary.caveats[0] in list(notes([summary, replace(summary)]))
    assert caveats({"release": [{"training": {"protocol": "release"}}]}) == (f"{OPTIMISTIC}.",)


def test_sequences_are_our_interpretation() -> None:
    config = {"data": {"name": "sdigits"}, "model": {"architecture": "terminator"}}
    assert caveats({"full": [config]}) == (SEQUENCES,)
    assert caveats({"full": [{**config, "model": {"architecture": "ckcnn"}}]}) == ()
