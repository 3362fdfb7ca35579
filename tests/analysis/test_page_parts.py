"""The parts of the page that are made without a browser: its picture, its glossary, its methods paragraph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terminator.analysis import load
from terminator.analysis.methods import methods
from terminator.analysis.page import Part, render_page, unfinished
from terminator.analysis.page.glossary import glossary
from terminator.analysis.page.picture import Picture, picture
from terminator.analysis.summary import summarize
from terminator.analysis.tables.ablation import ablation_table
from terminator.config import shipped
from terminator.ledger import Reason
from tests.analysis.ledgers import LOOKS, Invented, Row, branches, summarized

WIDER = {"model.width": 1.25}


def picture_of(invented: Invented, root: Path) -> Picture | None:
    _, summary = summarized(invented, root)
    return picture(summary, ablation_table([summary]))


def test_the_picture_has_a_line_for_each_row_of_the_table(tmp_path: Path) -> None:
    lost = {("no_gated", seed): (Reason.timeout, "") for seed in range(3)}
    rows = [*branches(6).rows, Row("none", {"model.depth": 1}, -0.6), Row("c@parameters", WIDER, twin_of="no_gated")]
    drawn = picture_of(branches(rows=rows, failed=lost), tmp_path)
    assert drawn is not None
    by_name = {line.cells[0].text: line for line in drawn.lines}
    assert len(by_name) == 9
    full, far, near = (by_name[name] for name in ("full", "none", "no_si_glu"))
    gone, control = by_name["no_gated"], by_name["↳ c@parameters"]
    assert (full.kind, full.mean, full.interval) == ("baseline", drawn.zero, None)
    assert (gone.mean, gone.interval) == (None, None)
    assert (control.control, near.control) == (True, False)
    assert far.kind == "worse"
    for line in (far, near, control):
        assert line.mean is not None
        assert line.interval is not None
        assert 0 < line.interval[0] < line.mean < line.interval[1] < 100
    assert drawn.breaks  # −60 points are far beyond the others
    assert drawn.band is not None
    assert drawn.band[0] < drawn.zero < drawn.band[1]
    assert all(0 <= at <= 100 for _, at in drawn.ticks)


def test_without_pairs_there_is_no_picture(tmp_path: Path) -> None:
    assert picture_of(branches(1, pending=[("full", seed) for seed in range(3)]), tmp_path) is None


def test_the_page_of_an_unfinished_sweep_says_how_far_it_is(tmp_path: Path) -> None:
    lost = {("no_gated", 1): (Reason.killed, "")}
    pending = [("full", 1), ("full", 0)]
    results, summary = summarized(branches(1, seeds=(0, 1), epochs=2, failed=lost, pending=pending), tmp_path)
    assert summary.headline == ""  # no pair is there, so nothing is undecided "after 0 seeds"
    page = render_page(results, [Part("branches", summary, [ablation_table([summary])], [])], [])
    assert '<p class="lost">Not finished: 1 of 4 runs done, 2 to come. What stands here' in page
    assert unfinished({"done": 3, "failed": 1}) == ""


def test_the_glossary_says_what_each_name_changes(tmp_path: Path) -> None:
    named = {"model.branches.si_glu": False}
    rows = [
        *branches(1).rows,
        Row("no_local@flops", {"model.width": 1.25}, twin_of="no_gated"),
        Row("no_global", named),
    ]
    _, summary = summarized(branches(rows=rows), tmp_path)
    entries = {name: (changes, remark) for name, changes, remark in glossary(summary)}
    assert entries["full"] == ("the baseline, which the others are compared with", "")
    assert entries["no_gated"] == ("model.branches.gated: true → false", "")
    assert entries["no_local@flops"][1].endswith("no_gated, with a width that gives it the baseline's flops")
    assert entries["no_global"][1] == ""  # the shipped file means other overrides by that name


def test_the_glossary_has_the_remarks_of_the_yaml_file(tmp_path: Path) -> None:
    off = dict.fromkeys((f"model.branches.{name}" for name in ("si_glu", "local")), False)
    file = tmp_path / "own" / "ablation" / "mine.yaml"
    file.parent.mkdir(parents=True)
    lines = [f"    {key}: false" for key in off]
    file.write_text("\n".join(["variants:", "  bare:  # neither, a lower bound", *lines, ""]), "utf-8")
    _, summary = summarized(Invented([Row("full"), Row("bare", off)], name="mine"), tmp_path)
    assert glossary(summary)[1].remark == ""
    sweep = replace(summary.question.sweep, command=["terminator", "--config-dir", str(tmp_path / "own")])
    found = glossary(replace(summary, question=summary.question._replace(sweep=sweep)))
    assert found[1].remark == "neither, a lower bound"
    assert (shipped("sweeps") / "ablation" / "branches.yaml").exists()


def test_the_methods_paragraph_is_made_of_the_ledger(tmp_path: Path) -> None:
    results, summary = summarized(replace(LOOKS, failed={("no_gated", 4): (Reason.timeout, "")}), tmp_path)
    text = methods(results, summary)
    for said in (
        "We compare 2 variants with the baseline full (100,000 parameters) on digits.",
        "for 100 epochs in batches of 64 with kar3",
        "(0 to 4)",
        "Looks were planned at 3, 5, 8, 12, 20 seeds and made at 3, 5; they share an error level of 5 %",
        "less than 0.50 points (TOST, Holm)",
        "1 run of 15 gave no result.",
        "commit 1f2e3d4c1f",
        "Python 3.11",
    ):
        assert said in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("invented", "said"),
    [
        (branches(1), "Results are tested once, at all seeds, at a level of 5 %."),
        (branches(1, seeds=[7]), "share their random seeds (7)"),
        (branches(1, typed=["training.epochs=1"]), "Settings other than the usual: training.epochs=1."),
    ],
)
def test_the_methods_paragraph_of_other_sweeps(invented: Invented, said: str, tmp_path: Path) -> None:
    assert said in methods(*summarized(invented, tmp_path))


def test_the_methods_paragraph_by_another_metric_knows_no_looks(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    results = load(tmp_path)
    assert "tested once" in methods(results, summarize(results, results.questions[0], "test_loss"))


def test_the_methods_paragraph_of_runs_of_another_project(tmp_path: Path) -> None:
    """As from an MLflow store, whose parameters may have any form."""
    results, summary = summarized(branches(1), tmp_path)
    unknown = {"packages": None, "python": None, "cpu": None, "host": None, "config": [{"training": "long"}] * 6}
    text = methods(replace(results, runs=results.runs.assign(**unknown)), summary)
    assert "Each is trained" not in text
    assert "Hardware" not in text
