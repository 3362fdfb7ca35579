"""The plan's table, and the lines under it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from rich.table import Table

from terminator.config import RunConfig, to_plain
from terminator.ledger import Code, Ledger, Provenance
from terminator.model.build import build
from terminator.planning import duration
from terminator.planning.cost import WIDEST, cost
from terminator.planning.duration import Pace
from terminator.planning.plan import Plan, Planner
from terminator.planning.show import (
    Breakable,
    broken,
    cautions,
    frozen_before,
    notes,
    plan_document,
    same_runs,
    show_plan,
)
from terminator.text import signed_percent

SMALL = ["model.channels=[12]", "model.depth=2"]


@pytest.fixture(autouse=True)
def a_minute_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the steps that are timed where the ledger has no run: see test_need.py."""
    monkeypatch.setattr(duration, "time_steps", lambda config, profile: Pace(cost(config).flops, 0.0, 60.0))


def _notes(plan: Plan) -> list[str]:
    return notes(plan, plan.sweep.ablations[0])


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_plan_shows_how_far_controls_are_off(plan: Callable[..., Plan], tmp_path: Path) -> None:
    planned = plan("depth", "ablation.match=parameters", "ablation.one_at_a_time={model.depth:[1]}")
    console = Console(file=io.StringIO(), width=100)
    show_plan(console, planned, Ledger(tmp_path), lambda plan, ablation: [f"Power of {ablation.name}."])
    table, note, rest = _printed(console).partition("depth=1@parameters misses the 103,991 parameters")
    assert note
    assert "Power of depth.\n3 runs; 0 done, 3 to run" in rest
    cells = {row[0]: row[1:] for line in table.splitlines() if (row := line.split())}
    assert cells["variant"] == ["parameters", "MFLOPs", "off", "done", "overrides"]
    assert cells["full"] == ["103,991", "4.41", "0/1"]
    assert cells["depth=1@parameters"][2:5] == ["−82", "%", "0/1"]


def test_a_plan_as_json_holds_what_the_table_shows(plan: Callable[..., Plan], tmp_path: Path) -> None:
    planned = plan("depth", "ablation.match=parameters", "ablation.one_at_a_time={model.depth:[1]}")
    document = json.loads(
        json.dumps(plan_document([planned], Ledger(tmp_path), lambda plan, ablation: [f"Power of {ablation.name}."]))
    )
    [ablation] = document.pop("ablations")
    control_name = "depth=1@parameters"
    [needed] = document.pop("time")
    assert document == {"runs": 3, "done": 0}
    assert (needed["sweep"], needed["seconds"]) == (
        planned.sweep.id,
        dict.fromkeys(("full", "depth=1", control_name), 60.0),
    )
    full, shallow, control = ablation.pop("variants")
    note, power = ablation.pop("notes")
    assert note.startswith("depth=1@parameters misses the 103,991 parameters of full by −82 %")
    assert power == "Power of depth."
    assert ablation == {
        "name": "depth",
        "sweep": planned.sweep.id,
        "data": ["digits"],
        "question": planned.sweep.ablations[0].question,
        "baseline": "full",
        "looks": [],
    }
    flops = full.pop("flops")
    assert f"{flops / 1e6:.2f}" == "4.41"
    assert full == {"name": "full", "parameters": 103_991, "off": None, "done": 0, "runs": 1, "overrides": {}}
    assert shallow["overrides"] == {"model.depth": 1}
    assert (control["name"], control["parameters"]) == ("depth=1@parameters", 19_183)
    assert control["off"] == pytest.approx(19_183 / 103_991 - 1)


def test_a_plan_of_looks_tells_them(planner: Planner, tmp_path: Path) -> None:
    small = ["ablation.one_at_a_time={model.depth:[1]}", "ablation.looks=[3,5]"]
    planned = [planner.ablations(["depth"], small, seeds) for seeds in (None, [0, 1, 2, 4])]
    document = plan_document(planned, Ledger(tmp_path), lambda plan, ablation: [])
    assert [each["looks"] for each in document["ablations"]] == [[3, 5], [4]]
    assert [each["notes"] for each in document["ablations"]] == [
        ["Looks at 3, 5 seeds, each of what is undecided by then: 6 runs to the first, at most 10."],
        [],
    ]
    assert [document["runs"], document["done"]] == [8, 0]  # those that both hold count once


def test_a_control_at_the_bound_of_the_search_is_told(plan: Callable[..., Plan]) -> None:
    planned = plan("depth", "ablation.match=parameters", "ablation.one_at_a_time={model.depth:[1]}")
    full, _, control = planned.sweep.ablations[0].variants
    assert [cost(planned.config(each)).parameters for each in (full, control)] == [103_991, 19_183]
    assert _notes(planned) == [
        "depth=1@parameters misses the 103,991 parameters of full by −82 %: "
        f"the search ends at {WIDEST:g} times the width."
    ]


def test_a_control_between_two_steps_is_told(plan: Callable[..., Plan]) -> None:
    small = ["model.channels=[12]", "model.depth=1"]
    *_, note = _notes(plan("depth", *small, "ablation.match=flops", "ablation.one_at_a_time={model.depth:[2]}"))
    assert note.startswith("depth=2@flops misses the ")
    assert note.endswith(" %: channels come in steps of 12, at least 12.")


def test_a_control_that_is_near_needs_no_note(plan: Callable[..., Plan]) -> None:
    planned = plan("omega_0", "ablation.match=parameters", "ablation.one_at_a_time={model.omega_0:[3.0]}")
    assert any(variant.twin_of for variant in planned.sweep.ablations[0].variants)
    assert not any("misses" in note for note in _notes(planned))
    assert _notes(plan("depth")) == []


def _output(config: RunConfig) -> torch.Tensor:
    data = config.data
    network = build(
        config.model, image_shape=data.input_shape, classes=data.classes, generator=torch.Generator().manual_seed(0)
    ).eval()
    with torch.no_grad():
        output = network(torch.ones(2, *data.input_shape))
    logits = output if isinstance(output, torch.Tensor) else output.logits
    assert isinstance(logits, torch.Tensor)
    return logits


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("model.width=1", "model.width=0.5", True),
        ("model.width=2", "model.width=2.1", True),
        ("model.width=2", "model.channels=[24]", True),
        ("model.width=1", "model.width=2", False),
        ("model.dropout=[0.0]", "model.dropout=[0.0,0.0,0.3]", True),
        ("model.dropout=[0.0]", "model.dropout=[0.0,0.3]", False),
        ("model.branches.previous=true", "model.branches.previous=false", True),  # two blocks of tiny read none
        ("model.branches.local=false", "model.local_kernels=[]", True),
        ("model.product=auto", "model.product=matmul", True),
        ("model.product=auto", "model.product=fft", False),
        ("model=resnet20 model.width=1", "model=resnet20 model.width=1.001", True),
        ("model=resnet20 model.width=1", "model=resnet20 model.width=1.1", False),
        ("model=ckcnn model.channels=20", "model=ckcnn model.channels=40 model.width=0.5", True),
        ("seed=0", "training.epochs=3", False),
    ],
)
def test_the_same_network_by_two_names(planner: Planner, one: str, other: str, are_same: bool) -> None:
    family = [] if one.startswith("model=") else SMALL
    planned = planner.choices([one.split(), other.split()], family, [0])
    [ablation] = planned.sweep.ablations
    assert same_runs(planned, ablation) == ([[one, other]] if are_same else [])
    if are_same:
        assert torch.equal(*(_output(planned.config(variant)) for variant in ablation.variants))


def test_a_variant_that_is_the_baseline_is_named(plan: Callable[..., Plan]) -> None:
    assert _notes(plan("width", *SMALL, "ablation.one_at_a_time={model.width:[1.0,2.0]}")) == [
        "width=1.0 is the same configuration as the baseline full, whose row stands for it."
    ]


def test_the_plan_names_both(plan: Callable[..., Plan]) -> None:
    assert _notes(plan("width", *SMALL, "ablation.one_at_a_time={model.width:[0.5,2.0,2.1]}")) == [
        "full and width=0.5 are the same network: their settings come to equal channels and values.",
        "width=2.0 and width=2.1 are the same network: their settings come to equal channels and values.",
    ]


@pytest.mark.parametrize(
    ("override", "width", "lines"),
    [
        ("model.branches.local=true", 30, ["model.branches.local=true"]),
        ("model.branches.local=true", 22, ["model.branches.", "local=true"]),
        ("model.branches.local=true", 10, ["model.", "branches.", "local=true"]),
        ("model.channels=[12,24,48]", 22, ["model.channels=[12,24,", "48]"]),
        ("model.omega_0=30.5", 15, ["model.", "omega_0=30.5"]),
        ("objective.penalty=5e-06", 5, ["objective.", "penalty=5e-06"]),
        ("data=digits", 3, ["data=digits"]),
    ],
)
def test_overrides_are_broken_at_their_joints(override: str, width: int, lines: list[str]) -> None:
    assert broken(override, width) == lines


def test_a_cell_is_as_wide_as_the_table_leaves_it() -> None:
    table = Table("variant", "overrides", box=None, pad_edge=False)
    table.add_row("a" * 20, Breakable(["model.branches.local=false", "seed=1"]))
    console = Console(file=io.StringIO(), width=44)
    console.print(table)
    lines = [line.replace("a" * 20, "").strip() for line in _printed(console).splitlines()[1:]]
    assert lines == ["model.branches.", "local=false", "seed=1"]


@pytest.mark.parametrize(
    ("share", "text"), [(-0.8156, "−82 %"), (0.05, "+5 %"), (0.0, "0 %"), (0.001, "0 %"), (2.0, "+200 %")]
)
def test_shares_have_a_sign(share: float, text: str) -> None:
    assert signed_percent(share) == text


def test_runs_that_finished_with_other_epochs_cannot_go_on(plan: Callable[..., Plan], tmp_path: Path) -> None:
    ledger, origin = Ledger(tmp_path), Provenance(Code("0" * 16, None, False), "", {})
    shorter = ["training.epochs=1", "training.warmup_epochs=0"]
    for overrides in (shorter, [*shorter, "data.crop_padding=1"]):
        for key, config in plan("depth", *overrides, "machine.device=cpu").configs.items():
            ledger.freeze(key, to_plain(config), origin).begin().finish({"test_accuracy": 0.5})
    longer = plan("depth", "training.epochs=2", "training.warmup_epochs=0")
    [line] = cautions(longer, ledger)
    assert line.startswith(
        f"training.epochs=2: {len(longer.configs)} runs finished with 1, and cannot go on from there"
    )
    assert cautions(plan("depth", "training.epochs=2", "training.warmup_epochs=1"), ledger) == []
    assert cautions(plan("depth", *shorter), ledger) == []  # they are done


def test_runs_that_end_within_their_warm_up_are_named(plan: Callable[..., Plan], tmp_path: Path) -> None:
    short = plan("depth", "training.epochs=1", "training.warmup_epochs=1.5")
    [line] = cautions(short, Ledger(tmp_path))
    assert line.startswith("training.epochs=1: training ends within training.warmup_epochs=1.5, before the learning")


def test_looks_that_were_planned_otherwise_are_told(planner: Planner, tmp_path: Path) -> None:
    ledger, console = Ledger(tmp_path), Console(file=io.StringIO(), width=120)
    first, other = (planner.ablations(["depth"], own, None) for own in ([], ["ablation.looks=[5,10]"]))
    ledger.looks(first.sweep.ablations[0]).freeze(first.sweep.ablations[0].plan)
    assert frozen_before(ledger, first.sweep.ablations[0]) == []
    show_plan(console, other, ledger, lambda *_: [])
    said = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "This question's looks were planned at 3, 5, 8, 12, 20 seeds; of 5, 10 typed now, those beyond" in said
