from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pandas as pd
import pytest

from terminator import analysis
from terminator.analysis.results import Results
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables.ablation import ablation_table
from terminator.analysis.tables.render import comma_separated
from terminator.analysis.text import sentence, verdict_text
from terminator.errors import UserError
from terminator.ledger import Code, Reason, Verdict
from tests.analysis.ledgers import BRANCHES, FOUR_IMAGES, LOOKS, Invented, Row, branches

CLEAR = Invented(
    rows=[
        Row("full"),
        Row("no_local", {"model.branches.local": False}, -0.05),
        Row("gate=glu", {"model.gate": "glu"}, -0.03),
        Row("off", {"objective.slow_loss": "off"}, 0.04),
    ],
    accuracy=0.9,
    seeds=range(5),
)


def summary_of(invented: Invented, root: Path, metric: str | None = None) -> Summary:
    invented.write(root)
    results = analysis.load(root)
    return summarize(results, results.questions[0], metric)


def test_order_and_verdicts(tmp_path: Path) -> None:
    summary = summary_of(CLEAR, tmp_path)
    assert [variant.name for variant in summary.variants] == ["full", "no_local", "gate=glu", "off"]
    assert [verdict_text(variant, summary.metric) for variant in summary.variants] == [
        "baseline", "part helps", "change hurts", "part hurts",
    ]  # fmt: skip
    assert [variant.best for variant in summary.variants] == [False, False, False, True]
    assert not any(variant.tied for variant in summary.variants)
    assert summary.dataset == "digits"
    assert summary.smallest_effect == 0.5


def test_sentences(tmp_path: Path) -> None:
    summary = summary_of(CLEAR, tmp_path)
    without, replaced, off = (sentence(summary, variant) for variant in summary.variants[1:])
    assert without.startswith("no_local (without local): test accuracy changes by −5.00 points [−5.08, −4.92]")
    assert without.endswith("(n = 5, p < 0.001): the part helps.")
    assert replaced.startswith("gate=glu: test accuracy changes by −")
    assert off.startswith("off (without slow_loss): test accuracy changes by +")
    assert off.endswith("the part hurts.")


def test_a_sentence_leads_with_its_variant_and_has_the_table_s_numbers(tmp_path: Path) -> None:
    rows = [
        Row("full"),
        Row("only_3", {"model.local_kernels": [3]}, -0.05),
        Row("no_3", {"model.local_kernels": [9, 5, 7]}, 0.02),
        Row("none", {f"model.branches.{branch}": False for branch in BRANCHES}, -0.3),
    ]
    summary = summary_of(replace(CLEAR, rows=rows), tmp_path)
    said = {variant.name: sentence(summary, variant) for variant in summary.variants[1:]}
    assert said["only_3"].startswith("only_3 (without local_kernels 9, 5, 7): ")
    assert said["no_3"].startswith("no_3 (without local_kernels 3): ")
    assert said["none"].startswith("none: ")
    cells = {row[0].text: row[2].text for row in ablation_table([summary]).sections[0].rows}
    for name, text in said.items():
        assert cells[name].replace("\u00a0", " ") in text.replace(" points", "")


def test_differences_are_paired_by_seed(tmp_path: Path) -> None:
    lost = {("no_local", 3): (Reason.timeout, "")}
    summary = summary_of(replace(CLEAR, failed=lost, pending=[("full", 0)]), tmp_path)
    local = next(variant for variant in summary.variants if variant.name == "no_local")
    assert local.comparison is not None
    assert local.comparison.pairs.seeds == (1, 2, 4)
    by_hand = [local.values[seed] - summary.baseline.values[seed] for seed in (1, 2, 4)]
    assert local.comparison.pairs.mean == pytest.approx(sum(by_hand) / 3)
    assert [(each.seed, each.why) for each in local.missing] == [(3, "timeout")]


def test_another_metric_has_its_own_direction_and_unit(tmp_path: Path) -> None:
    summary = summary_of(CLEAR, tmp_path, "test_loss")
    assert not summary.higher_is_better
    assert [variant.name for variant in summary.variants] == ["full", "no_local", "gate=glu", "off"]
    assert verdict_text(summary.variants[1], summary.metric) == "part helps"
    assert summary.smallest_effect == 0


def test_error_is_the_complement_of_accuracy(tmp_path: Path) -> None:
    accuracy = summary_of(CLEAR, tmp_path)
    results = analysis.load(tmp_path)
    error = summarize(results, results.questions[0], "test_error")
    assert error.baseline.mean == pytest.approx(100 - accuracy.baseline.mean)
    assert [verdict_text(v, error.metric) for v in error.variants] == [
        verdict_text(v, accuracy.metric) for v in accuracy.variants
    ]


def test_one_seed_has_no_verdict(tmp_path: Path) -> None:
    summary = summary_of(replace(CLEAR, seeds=[0]), tmp_path)
    for variant in summary.variants[1:]:
        assert variant.comparison is not None
        assert variant.comparison.interval is None
        assert variant.comparison.judgement.verdict is Verdict.undecided
    assert sentence(summary, summary.variants[1]).endswith("(n = 1): undecided; one seed has no spread.")


def test_what_was_decided_keeps_its_decision_when_more_seeds_come(tmp_path: Path) -> None:
    """Three seeds more than the last look had: no row speaks of them before the next."""
    LOOKS.write(tmp_path / "before")
    replace(LOOKS, seeds=range(8)).write(tmp_path / "after")
    before, after = (analysis.load(tmp_path / each) for each in ("before", "after"))
    first, second = (summarize(each, each.questions[0]) for each in (before, after))
    looks = after.questions[0].looks
    assert looks is not None
    for old, new in zip(first.variants[1:], second.variants[1:], strict=True):
        assert old.comparison is not None
        assert new.comparison is not None
        assert (old.n, new.n) == (5, 8)
        assert old.comparison.judgement == new.comparison.judgement
        assert old.comparison.interval == new.comparison.interval == looks[-1].decisions[new.name].interval
        assert new.comparison.p_difference == looks[-1].decisions[new.name].p_difference
        assert new.comparison.pairs.seeds == ((0, 1, 2) if new.name == "no_local" else (0, 1, 2, 3, 4))
        assert new.comparison.pairs.unpaired == ()
    assert [verdict_text(each, first.metric).partition(":")[0] for each in second.variants] == [
        "baseline", "part helps", "undecided",
    ]  # fmt: skip
    assert looks[0].decisions["no_local"] == looks[1].decisions["no_local"]
    assert second.headline == "1 of 2 parts helps, 1 undecided after 5 seeds"


@pytest.mark.parametrize("metric", ["test_loss", "test_error"])
def test_another_metric_than_the_looks_is_judged_as_one_look(metric: str, tmp_path: Path) -> None:
    summary = summary_of(replace(LOOKS, seeds=range(8)), tmp_path, metric)
    assert not summary.is_own_metric
    for variant in summary.variants[1:]:
        assert variant.comparison is not None
        assert variant.comparison.pairs.n == 8
        assert variant.comparison.interval is not None
        assert variant.comparison.interval.level == 0.95
    assert summary.headline.startswith("1 of 2 parts helps, 1 ")


def test_noise_of_the_test_set_from_the_images_that_runs_got_right(tmp_path: Path) -> None:
    """By hand in test_margins; of two variants the median, one of them like its baseline on every image."""
    noise = 100 * sqrt(35 / 48 / 4)
    summary = summary_of(FOUR_IMAGES, tmp_path / "one")
    assert (summary.test_images, summary.test_noise) == (4, pytest.approx(noise))
    assert summary.variants[1].mean == pytest.approx(100 * 5 / 8)
    same = {("same", seed): FOUR_IMAGES.right["full", seed] for seed in (0, 1)}
    rows = [*FOUR_IMAGES.rows, Row("same", {"model.gate": "glu"})]
    both = replace(FOUR_IMAGES, rows=rows, right={**FOUR_IMAGES.right, **same})
    assert summary_of(both, tmp_path / "two").test_noise == pytest.approx(noise / 2)
    lost = replace(FOUR_IMAGES, pending=[("no_local", 1)])  # one run, (1, 1, 0, 1): differences 0, 0, −1, 1
    assert summary_of(lost, tmp_path / "three").test_noise == pytest.approx(100 * sqrt(2 / 3 / 4))
    results = analysis.load(tmp_path / "one")
    loss = summarize(results, results.questions[0], "test_loss")
    assert (loss.test_images, loss.test_noise) == (None, None)
    assert summary_of(CLEAR, tmp_path / "old").test_noise is None


def test_identical_results_are_tied(tmp_path: Path) -> None:
    rows = [Row("full"), Row("no_local", {"model.branches.local": False})]
    replace(CLEAR, rows=rows, seeds=range(3)).write(tmp_path)
    results = analysis.load(tmp_path)
    runs = results.runs.assign(test_accuracy=0.9 + results.runs["seed"] / 100)
    full, local = summarize(replace(results, runs=runs), results.questions[0]).variants
    assert (full.best, local.tied) == (True, True)
    assert sentence(summarize(replace(results, runs=runs), results.questions[0]), local) == (
        "no_local (without local): test accuracy stays the same (n = 3): undecided; "
        "identical in all 3 seeds, as it is when a change does not reach the model; no spread to judge by."
    )


def test_twins_follow_their_variants(tmp_path: Path) -> None:
    twin = Row("no_local@parameters", {"model.branches.local": False, "model.width": 1.25}, -0.01, twin_of="no_local")
    summary = summary_of(replace(CLEAR, rows=[*CLEAR.rows, twin]), tmp_path)
    assert [variant.name for variant in summary.variants][1:3] == ["no_local", "no_local@parameters"]
    assert verdict_text(summary.variants[2], summary.metric) == "part helps"


def test_runs_of_other_code_are_marked(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    results = analysis.load(tmp_path)
    runs = results.runs.copy()
    runs.loc[runs["variant"] == "off", "code_hash"] = "other"
    mixed = summarize(replace(results, runs=runs), results.questions[0])
    assert [variant.same_code for variant in mixed.variants] == [True, True, True, False]


def test_results_that_are_no_numbers_are_missing(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    results = analysis.load(tmp_path)
    runs = results.runs.copy()
    runs.loc[(runs["variant"] == "off") & (runs["seed"] > 0), "test_accuracy"] = float("inf")
    runs.loc[runs["variant"] == "no_local", "test_accuracy"] = float("nan")
    summary = summarize(replace(results, runs=runs), results.questions[0])
    by_name = {variant.name: variant for variant in summary.variants}
    assert list(by_name["off"].values) == [0]
    assert by_name["no_local"].lost == verdict_text(by_name["no_local"], summary.metric) == "missing: not logged"
    assert by_name["no_local"] is summary.variants[-1]
    table = ablation_table([summary])
    assert "missing: not logged" in [cell.text for cell in table.sections[0].rows[-1]]
    assert "Missing: off, seeds 1, 2, 3, 4: test accuracy is infinite." in table.notes


def test_what_is_logged_as_nan_is_named_so(tmp_path: Path) -> None:
    ledger = CLEAR.write(tmp_path)
    (sweep,) = ledger.sweeps()
    for cell in sweep.cells():
        if (cell.variant.name, cell.seed) in (("off", 1), ("off", 3)):
            path = ledger.run(cell.key).folder / "result.json"
            path.write_text(re.sub(r'("test_(accuracy|loss)": )[\d.e-]+', r"\1NaN", path.read_text("utf-8")), "utf-8")
    results = analysis.load(tmp_path)
    summary = summarize(results, results.questions[0])
    table = ablation_table([summary], ["test_loss"])
    (row,) = [row for row in table.sections[0].rows if row[0].text == "off"]
    assert row[1].text.endswith("(3\u00a0of\u00a05)")
    assert row[-1].text == "NaN"
    by_name = {line["variant"]: line["test_loss"] for line in csv.DictReader(io.StringIO(comma_separated(table)))}
    assert by_name.pop("off") == "NaN"
    assert all(float(value) > 0 for value in by_name.values())
    assert "Missing: off, seeds 1, 3: test accuracy is NaN." in table.notes


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    results = analysis.load(tmp_path)
    question = results.questions[0]

    def summarized(runs: pd.DataFrame, metric: str | None = None) -> Summary:
        return summarize(Results(results.questions, runs, results.epochs, "here"), question, metric)

    with pytest.raises(UserError, match="ablation=branches: no runs in here"):
        summarized(results.runs.iloc[:0])
    with pytest.raises(UserError, match="metric=speed: no run has logged it; choose from best_epoch, conv"):
        summarized(results.runs, "speed")
    with pytest.raises(UserError, match="no run of its baseline full"):
        summarized(results.runs[results.runs["variant"] != "full"])
    data = results.runs.copy()
    data.loc[0, "dataset"] = "mnist"
    with pytest.raises(UserError, match="runs of digits and mnist in one table"):
        summarized(data)
    with pytest.raises(UserError, match="variant=full: several results for one seed, 0"):
        summarized(pd.concat([results.runs, results.runs.iloc[:1]]))


def test_an_ablation_that_has_not_begun(tmp_path: Path) -> None:
    names = [(row.name, seed) for row in branches(1).rows for seed in (0, 1, 2)]
    summary = summary_of(branches(1, pending=names, code=Code("c0de" * 16, None, True)), tmp_path)
    assert verdict_text(summary.variants[1], summary.metric) == "missing: pending"
    assert sentence(summary, summary.variants[1]) == "no_gated (without gated): no verdict, missing: pending."
    assert not any(variant.best for variant in summary.variants)


def test_runs_of_the_next_look_are_not_missing(tmp_path: Path) -> None:
    to_come = [(variant, seed) for variant in ("full", "no_local", "no_gated") for seed in (3, 4)]
    summary = summary_of(replace(LOOKS, looked=(3,), pending=to_come), tmp_path / "after")
    assert {variant.name: variant.missing for variant in summary.variants} == dict.fromkeys(
        ("full", "no_local", "no_gated"), ()
    )
    summary = summary_of(replace(LOOKS, looked=(), pending=to_come), tmp_path / "before")
    assert [each.seed for each in summary.baseline.missing] == [3, 4]


def test_a_sweep_without_results_does_not_hide_the_one_before_it(tmp_path: Path) -> None:
    """Both with settings of their own, as trials have."""
    done = branches(1, typed=["training.epochs=2"])
    done.write(tmp_path)
    nothing = [(row.name, seed) for row in done.rows for seed in done.seeds]
    begun = replace(done, typed=["training.epochs=3"], pending=nothing, created=done.created + 1)
    assert summary_of(begun, tmp_path).question.sweep.settings == ("training.epochs=2",)
