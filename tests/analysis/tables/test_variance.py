"""The table, the page and the sentences of an ablation that asks where the spread between runs comes from."""

from __future__ import annotations

from pathlib import Path

from terminator.analysis.figures import draw_figures
from terminator.analysis.methods import methods
from terminator.analysis.page.glossary import glossary
from terminator.analysis.report import record
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.latex import latex
from tests.analysis.ledgers import Invented, Row, branches, summarized

SOURCES = Invented(
    [
        Row("all", {"seed_of.split": None}),
        Row("init", {"seed_of.order": 0}),
        Row("split", {"seed_of.init": 0, "seed_of.order": 0, "seed_of.split": None}),
    ],
    name="variance",
    seeds=range(6),
    spread=0.006,
)


def test_a_table_of_shares_takes_the_place_of_differences(tmp_path: Path) -> None:
    results, summary = summarized(SOURCES, tmp_path)
    table, costs = build_tables([summary])
    assert costs.label == "variance-costs"
    assert [column.title for column in table.columns][1] == "Seeds draw"
    rows = {row[0].text: row for row in table.sections[0].rows}
    assert [rows[name][1].text for name in rows] == ["init, order, split", "init", "split"]
    init = summary.variants[1].spread
    assert init is not None
    assert init.share_interval is not None
    assert rows["init"][4].data["share_percent"] == 100 * init.share
    assert rows["all"][4].text == "–"
    assert not any("Difference" in note or "The seeds draw" in note for note in table.notes)
    assert table.title.startswith(f"Of the variance of all (std {summary.baseline.std:.2g} points): init ")
    assert "Share of variance" in latex(table)
    first, init_record = record(summary)["variants"][:2]
    assert (first["verdict"], init_record["verdict"], init_record["difference"]) == (None, None, None)
    assert init_record["variance_share"] == init.share
    assert [entry.changes for entry in glossary(summary)][1:] == [
        "seed_of.order: None → 0; seed_of.split: None → 0",
        "seed_of.init: None → 0; seed_of.order: None → 0",
    ]
    assert "variances are compared as those of results paired by seed" in methods(results, summary)
    assert next(each.name for each in draw_figures(results, summary, tmp_path / "figures", "variance")) == "seeds"


def test_another_table_says_what_its_seeds_draw_where_that_is_not_the_usual(tmp_path: Path) -> None:
    results, usual = summarized(branches(1), tmp_path / "usual")
    assert "The seed of a run draws its initial parameters and the order of its data." in methods(results, usual)
    assert not any("eeds" in caveat for caveat in usual.caveats)
    varied = [
        Row("full", {"seed_of.split": None}),
        Row("no_local", {"seed_of.split": None, "model.branches.local": False}),
    ]
    summary = summarized(Invented(varied), tmp_path / "varied")[1]
    assert "The seeds draw the split of the data too (seed_of.split)." in build_tables([summary])[0].notes
    assert summary.variants[1].comparison is not None


def test_test_images_that_differ_between_seeds_are_no_one_test_set(tmp_path: Path) -> None:
    rows = [Row("full"), Row("no_local", {"model.branches.local": False})]
    right = {(name, seed): (1, 1, 0, seed) for name in ("full", "no_local") for seed in range(2)}
    noise = {}
    varied = {"seed_of.split": None}
    published, packaged = ({**varied, "data.format": each} for each in ("mnist1d", "of_a_package"))
    for name, own in {"usual": {}, "varied": varied, "published": published, "packaged": packaged}.items():
        changed = [Row(row.name, {**row.overrides, **own}) for row in rows]
        noise[name] = summarized(Invented(changed, seeds=range(2), right=right), tmp_path / name)[1].test_noise
    assert noise == {"usual": 0.0, "varied": None, "published": 0.0, "packaged": None}
