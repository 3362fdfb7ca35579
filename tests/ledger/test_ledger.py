from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.errors import UserError
from terminator.ledger import (
    METRICS,
    Ablation,
    Code,
    Ledger,
    Sweep,
    Variant,
    default_root,
    distinctions,
    files,
    sweep_id,
)
from tests.ledger import examples
from tests.ledger.conftest import PROVENANCE


def plan(*names: str, created: float = 1.0, keys: Sequence[str] = "abc") -> Sweep:
    variants = [Variant("full", runs={0: keys[0], 1: keys[1]}), Variant("no_local", {"x": False}, runs={0: keys[2]})]
    asked = ("Why?", "full", "test_accuracy", True, 0.005, [0, 1], variants)
    ablations = [examples.identified(Ablation(name, *asked)) for name in names]
    return Sweep(sweep_id(ablations), created, ["python"], ["data=digits"], Code("c0de", None, False), ablations)


def test_freezing_writes_everything_down(ledger: Ledger) -> None:
    provenance = replace(PROVENANCE, code=Code("c0de", "1f", True), diff="-a\n+b\n")
    run = ledger.freeze("k", {"seed": 0, "threads": 2}, provenance, "f1")
    spec = run.spec()
    assert run.key == spec.key == "k"
    assert spec.config == {"seed": 0, "threads": 2}
    assert spec.code == Code("c0de", "1f", True)
    assert spec.data_fingerprint == "f1"
    assert (run.folder / "diff.patch").read_text() == "-a\n+b\n"
    assert [found.key for found in ledger.runs()] == [run.key]


def test_an_intact_spec_never_changes(ledger: Ledger) -> None:
    run = ledger.freeze("k", {"seed": 0, "threads": 2}, PROVENANCE)
    before = (run.folder / "spec.json").read_bytes()
    again = ledger.freeze("k", {"seed": 0, "threads": 8}, PROVENANCE)
    assert again.key == run.key
    assert (run.folder / "spec.json").read_bytes() == before


def test_a_damaged_spec_is_frozen_again(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    run = ledger.freeze("k", {"seed": 0}, PROVENANCE)
    (run.folder / "spec.json").write_text("{")
    ledger.freeze("k", {"seed": 0}, PROVENANCE)
    assert run.spec().config == {"seed": 0}
    assert "spec.json is damaged" in caplog.text


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger(tmp_path / "file" / "root")
    for write in (
        lambda: ledger.freeze("k", {}, PROVENANCE),
        lambda: ledger.write_sweep(plan("branches")),
    ):
        with pytest.raises(UserError, match=f"^root={tmp_path}/file/root: cannot be written"):
            write()
    assert list(ledger.runs()) == ledger.sweeps() == []


def test_a_sweep_comes_back_as_it_was(ledger: Ledger) -> None:
    sweep = plan("branches", "gating")
    assert ledger.write_sweep(sweep) == ledger.sweep(sweep.id) == sweep
    plain = json.loads((ledger.sweep_folder(sweep) / "sweep.json").read_text())
    assert plain["schema"] == 1
    assert plain["ablations"][0]["variants"][0]["runs"] == {"0": "a", "1": "b"}


def test_a_shared_run_has_two_places_and_one_key() -> None:
    sweep = plan("branches", "gating")
    assert sweep.keys() == ["a", "b", "c"]
    assert [(cell.ablation.name, cell.variant.name, cell.seed, cell.key) for cell in sweep.cells()][2:4] == [
        ("branches", "no_local", 0, "c"),
        ("gating", "full", 0, "a"),
    ]


def test_the_id_names_the_ablations_and_depends_on_the_runs() -> None:
    assert plan("branches", "gating").id.startswith("branches+gating-")
    assert plan("branches", created=1.0).id == plan("branches", created=2.0).id
    assert plan("branches").id != plan("branches", keys="abd").id
    assert plan("branches").id == plan("branches").ablations[0].id


def test_sweeps_are_told_apart_by_what_not_all_of_them_have() -> None:
    one = replace(plan("branches"), data=("digits",), settings=("training.epochs=2",))
    other = replace(one, data=("mnist1d",), settings=("training.epochs=2", "model=release"))
    assert distinctions([one, other]) == ["digits", "mnist1d model=release"]
    assert distinctions([one]) == [""]


def test_a_sweep_is_found_by_id_ablation_or_beginning(ledger: Ledger) -> None:
    old, new, other = plan("branches"), plan("branches", "gating", created=2.0), plan("kernels", created=3.0)
    for sweep in (new, old, other):
        ledger.write_sweep(sweep)
    assert ledger.sweeps() == [other, new, old]
    assert ledger.sweep("branches") == new  # the newest that has the ablation
    assert ledger.sweep(old.id) == old
    assert ledger.sweep(old.id[:12]) == old
    assert ledger.sweep("ker") == other
    with pytest.raises(UserError, match=r"sweep=bran: means several sweeps in .*: branches.gating-.*, branches-"):
        ledger.sweep("bran")
    with pytest.raises(UserError, match=r"sweep=nope: no such sweep in .*: kernels-.*, branches.gating-.*, branches-"):
        ledger.sweep("nope")


def test_a_run_is_found_by_key_place_or_beginning(ledger: Ledger) -> None:
    runs = [ledger.freeze(key, {}, PROVENANCE) for key in ("abc", "abcd", "abde", *(f"f{i:02}" for i in range(30)))]
    ledger.write_sweep(plan("branches", keys=["abc", "abde", "abcd"]))
    found = [ledger.find_run(name).key for name in ("abc", "abcd", "abd", "full/1", "no_local/0")]
    assert found == ["abc", "abcd", "abde", "abde", "abcd"]
    for name, message in (
        ("ab", "run=ab: means several runs; choose from abc, abcd, abde"),
        ("f", f"run=f: means several runs; choose from {', '.join(run.key for run in runs[3:23])} and 10 more"),
        ("x", "run=x: no such run; choose from full/0, full/1, no_local/0"),
    ):
        with pytest.raises(UserError) as refused:
            ledger.find_run(name)
        assert str(refused.value) == message


def test_a_place_that_several_sweeps_fill_with_other_runs_is_refused(ledger: Ledger) -> None:
    old, new = plan("branches", keys=["abc", "abd", "abe"]), plan("branches", keys=["abc", "bcd", "bce"], created=2.0)
    two = plan("gating", keys=["f0", "f1", "f2"], created=3.0)
    two = ledger.write_sweep(
        replace(two, ablations=[*two.ablations, *plan("kernels", keys=["f0", "f3", "f4"]).ablations])
    )
    for sweep in (old, new):
        ledger.write_sweep(sweep)
    assert ledger.find_run("full/0", [old, new]).key == "abc"
    for name, message in (
        ("full/0", f"run=full/0: means 2 runs of 3 sweeps; choose from {two.id}:full/0 (f0), {new.id}:full/0 (abc)"),
        (f"{two.id}:full/1", "run=full/1: means 2 runs of 1 sweep; choose from f1, f3"),
        ("full/9", "run=full/9: no such run; did you mean full/1? choose from full/0, full/1, no_local/0"),
        (
            "brnches:full/1",
            f"sweep=brnches: no such sweep in {ledger.root}; did you mean branches? there are: {two.id}, ",
        ),
    ):
        with pytest.raises(UserError) as refused:
            ledger.find_run(name)
        assert str(refused.value).startswith(message)
    named = {f"{old.id}:full/1": "abd", f"{new.id}:full/1": "bcd", "branches:full/1": "bcd", "kernels:full/1": "f3"}
    assert {name: ledger.find_run(name).key for name in named} == named
    older = ledger.write_sweep(plan("branches", "previous", keys=["abf", "abg", "abh"], created=0.5))
    assert ledger.find_run("branches:full/1").key == "bcd"
    seven = replace(older.ablations[0].variants[0], runs={7: "abi"})
    ledger.write_sweep(older.with_ablation(replace(older.ablations[0], variants=[seven])))
    assert ledger.find_run("branches:full/7").key == "abi"  # of the newest that has it


def test_a_damaged_sweep_is_set_aside(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    path = ledger.sweep_folder(ledger.write_sweep(plan("branches"))) / "sweep.json"
    path.write_text('{"schema": 1, "id": "branches"}')
    assert ledger.sweeps() == []
    assert "sweep.json is damaged" in caplog.text


def test_the_default_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERMINATOR_ROOT", raising=False)
    assert default_root() == tmp_path / "outputs"
    monkeypatch.setenv("TERMINATOR_ROOT", "/data")
    assert default_root() == Path("/data")
    assert default_root("here") == tmp_path / "here"


def test_a_thousand_runs_are_read_in_well_under_three_seconds(ledger: Ledger) -> None:
    row = {"step": 20, "time": 1.0, "lr": 1e-3, "train_loss": 0.5, "validation_loss": 0.5, "validation_accuracy": 0.9}
    rows = "".join(files.row_line({"epoch": epoch, **row}) for epoch in range(1, 101))
    for seed in range(100):  # a tenth of it, in a tenth of the time
        run = ledger.freeze(f"{seed}", {"seed": seed}, PROVENANCE)
        attempt = run.begin()
        (attempt.folder / METRICS).write_text(rows)
        attempt.finish({"test_accuracy": 1.0})
    began = time.process_time()
    assert sum(len(run.metrics()) for run in ledger.runs() if run.state().attempts == 1) == 10_000
    assert time.process_time() - began < 0.3


def test_the_ledger_imports_the_standard_library_only() -> None:
    code = "import sys, terminator.ledger; print({name.partition('.')[0] for name in sys.modules} - {'terminator'})"
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run([sys.executable, "-S", "-c", code], env=place, capture_output=True, text=True, check=True)
    assert eval(said.stdout) - set(sys.stdlib_module_names) <= {"__main__"}


def test_a_command_typed_again_keeps_its_sweeps_first_time_and_is_the_newest(ledger: Ledger) -> None:
    first, other = plan("branches", created=1.0), plan("gating", created=2.0)
    for sweep in (first, other, plan("branches", created=3.0)):
        ledger.write_sweep(sweep)
    assert [(each.id, each.created, each.last_called) for each in ledger.sweeps()] == [
        (first.id, 1.0, 3.0),
        (other.id, 2.0, 2.0),
    ]


def test_a_sweep_written_before_settings_were_is_read_by_what_was_typed(ledger: Ledger) -> None:
    planned = examples.sweep(ledger, "branches")
    path = ledger.sweep_folder(planned) / "sweep.json"
    plain = json.loads(path.read_text("utf-8"))
    settings = ["+optimizer=sgd", "model.width=2"]
    elsewhere = [
        "root=there", "sweep.workers=2", "tracking.uri=x", "cluster=dev", "ablation.match=parameters",
        "hydra/launcher=submitit_local", "machine.threads=1", "data.folder=there", "data=sdigits",
    ]  # fmt: skip
    base = [*elsewhere, *settings]
    old = {**plain, "base": base, "command": ["python", "-m", "terminator.run", "-m", "seed=0,1", *base]}
    path.write_text(json.dumps({key: old[key] for key in old if key not in ("settings", "data")}))
    found = ledger.sweep("branches")
    assert (found.settings, found.data) == ((*settings, "seed=0,1"), ("sdigits",))
    assert not found.is_comparable
