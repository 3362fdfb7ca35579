"""The ablation table, and each form in which it is drawn."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from terminator import analysis
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.ablation import ablation_table
from terminator.analysis.tables.latex import latex
from terminator.analysis.tables.render import comma_separated, markdown, print_table, standalone
from terminator.analysis.tables.table import Cell, Section, Table
from terminator.errors import UserError
from terminator.ledger import Code, Reason
from tests.analysis.ledgers import LOOKS, Row, branches

HOSTILE = r"a|b_{c}%$&#~^\<script>alert(1)</script>[red]*Ж"


def summaries(root: Path) -> list[Summary]:
    results = analysis.load(root)
    return [summarize(results, question) for question in results.questions]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    lost = {("no_local", seed): (Reason.out_of_memory, "no room for 3 GiB") for seed in (0, 1, 2)}
    gone = {("no_gated", 1): (Reason.diverged, "loss is NaN at step 7")}
    rows = [*branches().rows, Row(HOSTILE, {"model.gate": "glu"}, -0.02)]
    branches(rows=rows, failed={**lost, **gone}).write(tmp_path)
    return ablation_table(summaries(tmp_path))


def row_of(table: Table, name: str) -> list[str]:
    rows = (row for section in table.sections for row in section.rows)
    return next([cell.marked for cell in row] for row in rows if row[0].text == name)


def test_cells(table: Table) -> None:
    full = row_of(table, "full")
    assert [column.title.partition(" (")[0] for column in table.columns] == [
        "Variant", "Test accuracy", "Difference", "Verdict",
    ]  # fmt: skip
    assert full[2:] == ["–", "baseline"]
    assert row_of(table, "no_local")[1:] == ["missing: out of memory", "–", "missing: out of memory"]
    assert "(2\u00a0of\u00a03)" in row_of(table, "no_gated")[1]
    assert sum(cell.best for section in table.sections for row in section.rows for cell in row) == 1
    assert "Missing: no_local, seeds 0, 1, 2: out of memory (no room for 3 GiB)." in table.notes
    assert "Missing: no_gated, seed 1: diverged (loss is NaN at step 7)." in table.notes
    assert "Commit 1f2e3d4c1f." in table.notes


@pytest.mark.parametrize(
    ("lost", "pairs", "note"),
    [
        ((0,), "(2 pairs)", "no_gated: seed 0 has no baseline run and is not in the difference."),
        ((0, 1), "(1 pair)", "no_gated: seeds 0, 1 have no baseline run and are not in the difference."),
    ],
)
def test_pairs_and_seeds_without_one_are_counted(lost: tuple[int, ...], pairs: str, note: str, tmp_path: Path) -> None:
    branches(1, failed={("full", seed): (Reason.timeout, "") for seed in lost}).write(tmp_path)
    table = ablation_table(summaries(tmp_path))
    assert row_of(table, "no_gated")[2].endswith(pairs)
    assert [each for each in table.notes if each.startswith("no_gated: seed")] == [note]


def test_a_note_on_all_variants_does_not_list_them(tmp_path: Path) -> None:
    branches(3, seeds=[0]).write(tmp_path)
    (summary,) = summaries(tmp_path)
    assert "all variants: one seed has no spread." in ablation_table([summary]).notes
    alone = replace(summary, variants=summary.variants[:2])
    assert f"{summary.variants[1].name}: one seed has no spread." in ablation_table([alone]).notes


def test_csv_has_the_raw_numbers(table: Table, tmp_path: Path) -> None:
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(comma_separated(table)))}
    assert rows["full"]["planned"] == "3"
    assert rows["no_local"]["n"] == "0"
    assert rows["no_local"]["difference"] == ""
    (summary,) = summaries(tmp_path)
    interaction = next(variant for variant in summary.variants if variant.name == "no_interaction")
    assert interaction.comparison is not None
    assert float(rows["no_interaction"]["difference"]) == interaction.comparison.pairs.mean
    assert HOSTILE in rows


def test_markdown_has_one_cell_a_column(table: Table) -> None:
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 10
    assert {line.replace(r"\|", "").count("|") for line in lines} == {len(table.columns) + 1}
    assert "\\<script\\>" in markdown(table)


def test_html_escapes_and_sorts(table: Table) -> None:
    text = standalone(table)
    assert "<script>" not in text
    found: list[tuple[str, dict[str, str | None]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))  # type: ignore[method-assign]
    parser.feed(text)
    sorts = [float(str(attrs["data-sort"])) for tag, attrs in found if tag == "td" and "data-sort" in attrs]
    assert 0.0 in sorts
    assert [attrs.get("class") for tag, attrs in found if tag == "td"].count("number best") == 1


def test_the_html_file_is_a_page_with_its_notes(table: Table) -> None:
    text = standalone(replace(table, notes=(*table.notes, HOSTILE)))
    assert "<script>" not in text
    assert text.count("<li>") == len(table.notes) + 1
    assert "table { border-collapse: collapse;" in text


def test_terminal(table: Table) -> None:
    console = Console(width=220, record=True, file=io.StringIO())
    print_table(table, console)
    text = console.export_text()
    assert HOSTILE in text
    assert "undecided (±" in text
    assert "\x1b" not in text


def test_a_narrow_terminal_leaves_columns_out_and_says_so(tmp_path: Path) -> None:
    branches(2).write(tmp_path)
    console = Console(width=82, record=True, file=io.StringIO())
    table = ablation_table(summaries(tmp_path), ["images_per_second", "parameters"])
    print_table(table, console)
    text = console.export_text()
    assert "Left out for want of room: Parameters." in text
    assert row_of(table, "no_gated")[2] in text


NAMES = (
    '"quoted"',
    "[0, 1] first",
    "*star",
    "=1+1",
    "-x--y",
    "@home",
    "a_long_name=of,many=words@parameters",
    "y" * 40,
)
PAPERS = {  # the width of the text, in points
    "neurips": (397, r"\documentclass{article}"),
    "icml": (487, r"\documentclass[twocolumn]{article}"),
}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("paper", PAPERS)
def test_latex_compiles_unchanged_and_fits(paper: str, table: Table, tmp_path: Path) -> None:
    rows = [
        Row(HOSTILE),
        *(Row(name, {"model.depth": number + 2}, -0.02 * number) for number, name in enumerate(NAMES)),
    ]
    invented = replace(LOOKS, rows=rows, name="x", looks=None, looked=(), spread=0.03)
    (summary,) = [each for each in summaries(invented.write(tmp_path).root) if each.name == "x"]
    tables = [table, *build_tables([summary])]
    for number, each in enumerate(tables):
        (tmp_path / f"{number}.tex").write_text(latex(each), "utf-8")
    width, document = PAPERS[paper]
    page = rf"{document}\usepackage{{booktabs}}\usepackage[textwidth={width}pt]{{geometry}}\begin{{document}}"
    inputs = "".join(rf"\input{{{number}.tex}}" for number in range(len(tables)))
    (tmp_path / "paper.tex").write_text(rf"{page}{inputs}\end{{document}}", "utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout, done.stdout


def test_latex_gives_no_advice_on_commands(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    table = ablation_table(summaries(tmp_path))
    assert "the same command runs it" in markdown(table)
    assert "Next look" not in latex(table)


def test_csv_has_no_formulas() -> None:
    signs = ("=1+1", "+1", "-1", "−1", "@sum", "\t=1", "1=1")
    rows = tuple((Cell("", {"=name": sign, "number": -0.5}),) for sign in signs)
    read = list(csv.DictReader(io.StringIO(comma_separated(Table("x", "", (), (Section("", rows),))))))
    assert [row["'=name"] for row in read] == [*(f"'{sign}" for sign in signs[:-1]), "1=1"]
    assert {row["number"] for row in read} == {"-0.5"}


def test_the_title_begins_with_the_headline(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    table = ablation_table(summaries(tmp_path))
    assert table.title == (
        "1 of 2 parts helps, 1 undecided after 5 seeds.\nWhich branches of an SFNE block earn their keep? (digits)"
    )
    assert markdown(table).startswith("### 1 of 2 parts helps, 1 undecided after 5 seeds. Which branches")
    several = ablation_table([*summaries(tmp_path)] * 2)
    assert several.title == "branches; branches (digits)"


def test_a_row_that_stopped_earlier_says_of_how_many_pairs_it_speaks(tmp_path: Path) -> None:
    LOOKS.write(tmp_path)
    table = ablation_table(summaries(tmp_path))
    clear, unclear = row_of(table, "no_local"), row_of(table, "no_gated")
    assert (clear[2].endswith("] (3 pairs)"), clear[3]) == (True, "part helps")
    assert unclear[2].endswith("]")
    assert unclear[3].startswith("undecided (±")


def test_several_ablations_in_one(tmp_path: Path) -> None:
    branches(2).write(tmp_path)
    branches(1, name="gating", question="").write(tmp_path)
    table = ablation_table(summaries(tmp_path))
    assert [section.title for section in table.sections] == ["branches", "gating"]
    assert table.label == "branches+gating"


def test_ablations_on_other_data_do_not_mix(tmp_path: Path) -> None:
    branches(1).write(tmp_path)
    branches(1, name="gating", dataset="mnist").write(tmp_path)
    with pytest.raises(UserError, match="ablation=branches,gating: run on digits and on mnist"):
        ablation_table(summaries(tmp_path))


@pytest.mark.parametrize(
    ("code", "note"),
    [
        (Code("c0de" * 16, "1f2e3d4c" * 5, True), "Commit 1f2e3d4c1f with uncommitted changes."),
        (Code("c0de" * 16, None, False), "No commit; code c0dec0dec0."),
    ],
)
def test_where_the_code_comes_from(code: Code, note: str, tmp_path: Path) -> None:
    branches(1, code=code).write(tmp_path)
    assert note in ablation_table(summaries(tmp_path)).notes


def test_mixed_code_is_marked(tmp_path: Path) -> None:
    branches(1).write(tmp_path)
    results = analysis.load(tmp_path)
    runs = results.runs.copy()
    runs.loc[runs["variant"] == "no_gated", ["code_hash", "commit"]] = ["other", "deadbeef" * 5]
    table = ablation_table([summarize(replace(results, runs=runs), results.questions[0])])
    assert row_of(table, "no_gated ‡")
    assert any(note.startswith("Mixed code (commits 1f2e3d4c1f, deadbeefde)") for note in table.notes)


def test_mixed_libraries_are_named_and_marked(tmp_path: Path) -> None:
    branches(2).write(tmp_path)
    results = analysis.load(tmp_path)
    old, new = ({"torch": torch, "numpy": "2.1.0", "mlflow": torch} for torch in ("2.13.0", "2.6.0"))

    def table_of(*packages: dict[str, str]) -> Table:
        runs = results.runs.assign(packages=[each for each in packages for _ in range(3)])
        return ablation_table([summarize(replace(results, runs=runs), results.questions[0])])

    table = table_of(old, new, old)
    assert row_of(table, "no_gated §")
    assert row_of(table, "no_si_glu")
    (note,) = [note for note in table.notes if "libraries" in note]
    assert note == (
        "Mixed libraries (torch 2.13.0 and 2.6.0): § marks rows whose libraries are not the baseline's; "
        "their differences may come from that."
    )
    assert r"\S{}" in latex(table)
    assert not any("libraries" in note for note in table_of(new, new, new).notes)
