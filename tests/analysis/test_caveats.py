"""What must be said beside numbers, and what a variant changes."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terminator import analysis
from terminator.analysis.caveats import OPTIMISTIC, SEQUENCES, Kind, caveats, change
from terminator.analysis.findings import Claim, Expectation, judge
from terminator.analysis.report import write_report
from terminator.analysis.summary import summarize
from terminator.analysis.tables import peers
from terminator.analysis.tables.claims import claims_table
from terminator.analysis.tables.notes import notes
from terminator.analysis.tables.render import comma_separated
from tests.analysis.ledgers import Invented, Row, branches


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
    assert caveats({"full": [config], "pending": []}) == (f"{SEQUENCES}.",)
    stored = {"data": {"name": "mine", "image_shape": [1, 40], "sequence": None}, "model": config["model"]}
    assert caveats({"full": [stored]}) == (f"{SEQUENCES}.",)
    other = {**config, "model": {"architecture": "ckcnn"}}
    assert caveats({"full": [other]}) == ()
    assert caveats({"full": [config], "ckcnn": [other], "small": [config]}) == (f"{SEQUENCES}: full, small.",)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sequences")
    levels = [{"model.gate": gate, "model.residual": residual} for gate in ("rgu", "glu") for residual in (False, True)]
    full, *others = (Row(f"cell_{number}", each, 0, each) for number, each in enumerate(levels))
    ckcnn = Row("ckcnn", {"model.architecture": "ckcnn"}, 0.01)
    Invented([replace(full, name="full"), *others], name="gating", dataset="pdigits").write(root)
    branches(2, rows=[*branches(2).rows, ckcnn], dataset="sdigits").write(root)
    return root


@pytest.mark.usefixtures("quick_pdfs")
def test_a_report_on_sequences_says_so_everywhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_report(root, ["branches", "gating"]).parent
    mixed, all_ours = f"{SEQUENCES}: full, no_gated, no_si_glu.", f"{SEQUENCES}."
    said = capsys.readouterr().out
    assert (said.count(mixed), said.count(all_ours)) == (1, 2)  # of gating also the main effects
    kinds = {"", "-tests", "-costs", "-effects"}
    tables = [path for path in (folder / "tables").iterdir() if path.suffix in (".md", ".tex")]
    assert {path.stem for path in tables} == {"gating" + kind for kind in kinds} | {
        "branches" + kind for kind in kinds - {"-effects"}
    }
    for path in tables:
        assert (mixed if path.stem.startswith("branches") else all_ours) in path.read_text("utf-8").replace("\\", "")
    page = (folder / "report.html").read_text("utf-8")
    captions = re.findall("<figcaption>(.*)</figcaption>", page)
    drawn = [path for path in (folder / "figures").glob("*.png") if not path.stem.endswith("-differences")]
    assert len(captions) == len(drawn) > 8  # the page's own picture is beside the caveat
    assert all(caption.endswith((mixed, all_ours)) for caption in captions)
    assert page.count(f'<p class="caveat">{mixed}</p>') == page.count(f'<p class="caveat">{all_ours}</p>') == 1
    notes = page.count(f"<li>{mixed}</li>"), page.count(f"<li>{all_ours}</li>")
    assert notes == (3, 4)  # under each table
    with (folder / "tables" / "branches.csv").open() as file:
        said_of = {row["variant"]: row["caveats"] for row in csv.DictReader(file)}
    assert said_of == {"full": all_ours, "no_gated": all_ours, "no_si_glu": all_ours, "ckcnn": ""}


def test_a_claim_on_sequences_says_so(root: Path) -> None:
    claim = Claim("it does", "branches", ("no_gated",), Expectation.worse)
    for each, caveat in (
        (claim, f"{SEQUENCES}: full, no_gated, no_si_glu."),
        (replace(claim, expect=Expectation.zero_mean), f"{SEQUENCES}."),
    ):
        table = claims_table({"sdigits": [judge(each, root, "sdigits")]})
        assert caveat in table.notes
        assert caveat in comma_separated(table)
    both = [judge(each, root, "sdigits") for each in (claim, replace(claim, expect=Expectation.zero_mean))]
    assert [note for note in claims_table({"sdigits": both}).notes if SEQUENCES in note] == [f"{SEQUENCES}."]
    assert not any(SEQUENCES in note for note in claims_table({"digits": [judge(claim, root, "digits")]}).notes)


def test_our_results_beside_published_ones_say_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PUBLISHED", [peers.Published("S4", "sdigits", "–", "99", "nowhere")])
    results = analysis.load(root, "branches")
    table = peers.peers_table([summarize(results, results.questions[0])])
    assert table is not None
    assert table.notes[-1] == f"{SEQUENCES}."


BASE: dict[str, Any] = {
    "model": {"gate": "rgu", "branches": {"local": True, "gated": True}, "local_kernels": [3, 9, 5], "width": 1.0},
    "objective": {"slow_loss": "tile", "weight": 1.0, "noise": 0.0},
    "seed": 0,
    "machine": {"threads": 1},
}


def variant(**groups: dict[str, Any]) -> dict[str, Any]:
    return {key: {**value, **groups.get(key, {})} if isinstance(value, dict) else value for key, value in BASE.items()}


@pytest.mark.parametrize(
    ("group", "kind", "parts"),
    [
        ({"model": {"branches": {"local": False, "gated": True}}}, Kind.removal, ["local"]),
        ({"objective": {"slow_loss": "off"}}, Kind.removal, ["slow_loss"]),
        ({"objective": {"weight": 0.0}}, Kind.removal, ["weight"]),
        ({"model": {"local_kernels": [3, 5]}}, Kind.removal, ["local_kernels 9"]),
        ({"model": {"local_kernels": [3, 9, 5, 7]}}, Kind.addition, ["local_kernels 7"]),
        ({"model": {"local_kernels": [3, 3, 3]}}, Kind.replacement, ["local_kernels"]),
        ({"objective": {"noise": 0.1}}, Kind.addition, ["noise"]),
        ({"model": {"gate": "glu"}}, Kind.replacement, ["gate"]),
        ({"model": {"branches": {"local": False, "gated": True}, "gate": "glu"}}, Kind.replacement, ["gate", "local"]),
        ({"machine": {"threads": 2}}, Kind.replacement, []),
    ],
)
def test_kinds_and_parts(group: dict[str, dict[str, Any]], kind: Kind, parts: list[str]) -> None:
    found = change(BASE, variant(**group))
    assert found.kind is kind
    assert found.parts() == parts


def test_seeds_are_no_change() -> None:
    assert change(BASE, {**BASE, "seed": 4}).keys == {}


def test_the_width_of_a_twin_is_its_control() -> None:
    narrow = variant(model={"branches": {"local": False, "gated": True}, "width": 1.25})
    assert change(BASE, narrow, is_control=True).kind is Kind.removal
    assert change(BASE, narrow).kind is Kind.replacement
    assert change(BASE, narrow).keys["model.width"] == (1.0, 1.25)


def test_what_was_tuned_is_no_part_of_the_change() -> None:
    tuned = variant(model={"branches": {"local": False, "gated": True}}, objective={"weight": 0.3})
    found = change(BASE, tuned, tuned=["objective.weight"])
    assert (found.kind, found.parts()) == (Kind.removal, ["local"])
    assert found.keys["objective.weight"] == (1.0, 0.3)
