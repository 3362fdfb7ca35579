"""Tuned ablations: what is planned, what is chosen, and the table of both. Runs only write down invented results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from terminator import looks as driver
from terminator.analysis.load import load
from terminator.analysis.methods import methods
from terminator.analysis.summary import summarize
from terminator.analysis.tables import build_tables
from terminator.analysis.tables.ablation import tuned_table
from terminator.analysis.tables.latex import latex
from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger, Reason, Run, provenance
from terminator.looks import carry_out
from terminator.planning.plan import Plan, Planner
from terminator.sweeps.scheduler import Scheduler
from tests.ledger.examples import row

LR = "optimizer.lr"
TUNE = [f"ablation.tune={LR}", "ablation.tune_values=[0.001,0.003,0.01]", "ablation.looks=[3,4]"]
BEST = {"rgu": 0.003, "glu": 0.01, "mixer": 0.003}  # by gate


class Invented(Scheduler):
    """Gives each run an accuracy that depends on how far its learning rate is from its gate's best, and on the seed."""

    def __init__(self) -> None:
        self.trained: list[Run] = []

    def start(self, runs: list[Run]) -> bool:  # type: ignore[override]
        for run in runs:
            config = run.spec().config
            gate, lr, seed = config["model"]["gate"], config["optimizer"]["lr"], config["seed"]
            attempt = run.begin()
            if gate == "mixer" and lr == 0.01:
                attempt.fail(Reason.diverged, "the loss is nan")
                continue
            accuracy = 0.9 - 10 * abs(lr - BEST[gate]) + 0.001 * (seed % 3) + 0.0001 * (seed % 4) * (gate == "glu")
            attempt.log_epoch(row(1))
            attempt.finish({"test_accuracy": accuracy, "validation_accuracy": accuracy, "epochs": 1})
        self.trained += runs
        return True


def planned(planner: Planner, *overrides: str) -> Plan:
    return planner.ablations(["gating"], [*TUNE, *overrides], None)


def carried_out(ledger: Ledger, plan: Plan) -> tuple[list[Ablation], Invented]:
    scheduler = Invented()
    sweep = plan.freeze(ledger, provenance())
    outcome = carry_out(ledger, [sweep], lambda now: scheduler, lambda line: None)
    return list(outcome.sweeps[0].ablations), scheduler


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_print", lambda *_: None)


def test_every_row_gets_the_same_candidates_at_seeds_of_their_own(planner: Planner) -> None:
    plain, tuning, tuned = planned(planner).sweep.ablations
    names = [variant.name for variant in plain.variants]
    assert [tuning.name, tuned.name, tuned.tuned_by] == ["gating-tuning", "gating-tuned", "gating-tuning"]
    assert [(each.candidate_of, each.factors) for each in tuning.variants] == [
        (name, {LR: value}) for name in names for value in (0.001, 0.003, 0.01)
    ]
    assert {tuple(each.runs) for each in tuning.variants} == {(1000, 1001)}
    assert [(each.name, dict(each.runs)) for each in tuned.variants] == [(name, {}) for name in names]
    assert (plain.is_judged, tuning.is_judged, tuned.is_judged) == (True, False, True)
    assert plain.id == planner.ablations(["gating"], [], None).sweep.ablations[0].id
    assert tuned.id != planned(planner, "ablation.tune_seeds=[1000]").sweep.ablations[2].id


def test_several_keys_are_crossed(planner: Planner) -> None:
    overrides = [f"ablation.tune=[{LR},objective.penalty]", "ablation.tune_values=[[1e-3,1e-2],[0,1e-4]]"]
    tuning = planner.ablations(["gating"], overrides, None).sweep.ablations[1]
    assert [tuple(each.factors.values()) for each in tuning.variants[:4]] == [
        (0.001, 0), (0.001, 0.0001), (0.01, 0), (0.01, 0.0001),
    ]  # fmt: skip


def test_each_row_is_compared_at_its_best_setting(planner: Planner, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    _, _, tuned = carried_out(ledger, planned(planner))[0]
    chosen = {variant.name: variant.overrides[LR] for variant in tuned.variants}
    assert chosen == {**dict.fromkeys(chosen, 0.003), "gate=glu": 0.01}
    assert {tuple(variant.runs)[:3] for variant in tuned.variants} == {(0, 1, 2)}
    for variant in tuned.variants:
        specs = [ledger.run(key).spec().config for key in variant.runs.values()]
        assert {config["optimizer"]["lr"] for config in specs} == {chosen[variant.name]}
    results = load(tmp_path, sweep=ledger.sweeps()[0].id)
    summaries = [summarize(results, each) for each in results.questions]
    tables = {table.label: table for table in build_tables(summaries)}
    rows = {cells[0].text: cells for cells in tables["gating+tuned"].sections[0].rows}
    assert {name: cells[1].text for name, cells in rows.items()} == {
        **dict.fromkeys(chosen, "0.003"),
        "gate=glu": "0.01 (edge)",
    }
    data = {key: value for cell in rows["gate=glu"] for key, value in cell.data.items()}
    assert data["untuned_test_accuracy_percent_mean"] < data["tuned_test_accuracy_percent_mean"]
    assert not any(note.startswith("Worse tuned") for note in tables["gating+tuned"].notes)
    lower = [replace(each, values=dict.fromkeys(each.values, 1.0)) for each in summaries[1].variants]
    table = tuned_table(summaries[0], replace(summaries[1], variants=tuple(lower)))
    assert any(re.match(r"Worse tuned than untuned: full \(1\.00 against 89\.58\), ", note) for note in table.notes)
    said = [f"Tuned: each row has, of {LR}=0.001, " in methods(results, summary) for summary in summaries]
    assert said == [any(note.startswith("Tuned: ") for note in tables[each.name].notes) for each in summaries]
    assert said == [False, True]
    assert "?" not in latex(tables["gating+tuned"])  # what LaTeX could not print
    shown = [table for table in tables.values() if not table.repeats]
    asked = "Do the recursive gated unit and Si-GLU contribute to accuracy?"
    assert [table.title.rpartition("\n")[2] for table in shown] == [
        f"{asked} (digits, not tuned)",
        f"{asked} (digits, tuned)",
        "gating: without and with tuning (digits)",
    ]
    assert {row[0].text: row[4].text for row in shown[1].sections[0].rows}["gate=glu"] == "0.01 (edge)"


def test_the_same_command_again_trains_nothing_and_keeps_the_choice(planner: Planner, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first, _ = carried_out(ledger, planned(planner))
    again, scheduler = carried_out(ledger, planned(planner))
    assert again == first
    assert [run for run in scheduler.trained if run.result() is not None] == []


def test_nothing_is_chosen_before_every_candidate_has_ended(planner: Planner, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    sweep = planned(planner).freeze(ledger, provenance())
    tuning, tuned = sweep.ablations[1:]
    last = tuning.variants[-1].runs[1001]
    runs = [run for run in ledger.runs_of([sweep]) if run.key != last]
    Invented().start(runs)
    sweep, due, _ = driver.advance(ledger, sweep, {run.key for run in runs})
    assert last in [run.key for _, run in due]
    assert ledger.looks(tuned).tuned() is None
    with pytest.raises(UserError, match=r"^ablation=gating-tuned: no results in .*; there are: gating$"):
        load(tmp_path, "gating-tuned")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["ablation.tune=optimizer.lr"], "ablation.tune_values=[]: must be at least two different values"),
        (["ablation.tune=optimizer.lr", "ablation.tune_values=[0.1]"], "must be at least two different values"),
        (["ablation.tune=optimizer.lr", "ablation.tune_values=[0.1,0.1]"], "must be at least two different values"),
        (["ablation.tune=optimizer.lr", "ablation.tune_values=[a,b]"], "must be numbers for optimizer.lr"),
        (["ablation.tune=optimizer.lr", "ablation.tune_values=[true,2]"], "must be numbers for optimizer.lr"),
        (["ablation.tune=[optimizer.lr]", "ablation.tune_values=[1,2]"], "must be a list of values for each key"),
        (["ablation.tune_values=[1,2]"], "ablation.tune must name the key to tune"),
        ([*TUNE, "ablation.tune_seeds=[]"], "ablation.tune_seeds=[]: must be at least one seed, each once"),
        ([*TUNE, "ablation.tune_seeds=[3,9]"], "must not be among the seeds of the final runs, as 3 is"),
        ([*TUNE, "ablation.tune=optimizer.name"], "ablation.tune=optimizer.name: must be a number of the config"),
        ([*TUNE, "ablation.tune=optimizer.lrr"], "optimizer.lr is; no such value"),
        ([*TUNE, "ablation.tune=seed"], "ablation.tune=seed: must be a number of the configuration"),
        ([*TUNE, "training.protocol=release"], "chooses by test images, on which the table is judged"),
    ],
)
def test_a_tuning_that_cannot_be_is_refused(planner: Planner, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        planner.ablations(["gating"], overrides, None)


def test_a_variant_that_sets_what_is_tuned_is_refused(planner: Planner) -> None:
    overrides = ["ablation.tune=objective.label_smoothing", "ablation.tune_values=[0.0,0.1]"]
    message = r"^ablation\.tune=objective\.label_smoothing: label_smoothing=0\.0 of label_smoothing sets it itself$"
    with pytest.raises(UserError, match=message):
        planner.ablations(["label_smoothing"], overrides, None)
