"""The main job through the command line: a sweep, its table, its MLflow, interruptions, bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from terminator.ledger import Ledger, RunState
from terminator.text import moment

SMALL = ["model.depth=1", "model.channels=[12]", "data=digits", "training.epochs=2", "training.batch_size=128"]
TWO_VARIANTS = ["-m", "ablation=pair", "seed=0,1", *SMALL]
LONGER = [*TWO_VARIANTS, "training.epochs=6", "tracking.enabled=false"]
NOTING = """
from pathlib import Path
from hydra.experimental.callback import Callback

class Noting(Callback):
    def on_job_end(self, config, job_return, **given):
        Path(f"{config.hydra.job.num}.noted").write_text(str(job_return._return_value))
"""
PAIR = "question: Is a gate needed?\nvariants:\n  plain: {model.gate: mixer}\n"
MEASURED = {"train_seconds", "images_per_second", "peak_memory_bytes"}  # what a clock or the system says


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder far from the checkout, with an ablation file of the user's own."""
    return _with_own_ablation(tmp_path)


def _with_own_ablation(folder: Path) -> Path:
    own = folder / "own" / "ablation"
    own.mkdir(parents=True)
    (own / "pair.yaml").write_text(PAIR)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The results of LONGER when nobody interrupts it."""
    folder = _with_own_ablation(tmp_path_factory.mktemp("undisturbed"))
    code, said = _run(folder, *LONGER)
    assert code == 0, said
    return _results(folder / "outputs")


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "terminator.run", "--config-dir", "own", *words]


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        _command(*words), cwd=folder, env=_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _run(folder: Path, *words: str) -> tuple[int, str]:
    process = _start(folder, *words)
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("TERMINATOR_ROOT", "HYDRA_FULL_ERROR")}


def _results(root: Path) -> dict[str, dict[str, Any]]:
    """What each run came to, without what was measured by a clock."""
    return {
        run.key: {name: value for name, value in result.metrics.items() if name not in MEASURED}
        for run in Ledger(root).runs()
        if (result := run.result()) is not None
    }


def _wait_for_epochs(sweep: subprocess.Popen[str], root: Path, epochs: int) -> int:
    """Wait until some open attempt has logged so many epochs. Returns its process."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and sweep.poll() is None:
        for run in Ledger(root).runs():
            if run.state().state is RunState.running and len(run.metrics()) >= epochs:
                [*_, attempt] = run.attempts()
                assert attempt.pid is not None
                return attempt.pid
        time.sleep(0.05)
    raise AssertionError("no run got that far")


def test_a_sweep_its_table_its_mlflow_and_the_second_time(folder: Path) -> None:
    """Of an ablation whose file is in a folder of its own."""
    (folder / "own" / "ablation" / "sub").mkdir()
    (folder / "own" / "ablation" / "pair.yaml").rename(folder / "own" / "ablation" / "sub" / "pair.yaml")
    words = ["-m", "ablation=sub/pair", "seed=0,1", *SMALL]
    code, said = _run(folder, *words)
    assert code == 0, said
    assert "4 runs: 0 done already, 4 to run" in said
    assert re.search(r"full\b.*\d+\.\d", said)
    (reports,) = (folder / "outputs" / "reports").glob("sub.pair-*")  # the sweep's own: it was typed with settings
    assert {".md", ".tex", ".csv", ".html", ".png"} <= {path.suffix for path in reports.rglob("*")}

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sub/pair")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted((run.data.tags["variant"], run.data.tags["seed"]) for run in runs) == [
        ("full", "0"),
        ("full", "1"),
        ("plain", "0"),
        ("plain", "1"),
    ]
    results = _results(folder / "outputs")
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.metrics["test_accuracy"] == results[run.data.tags["run_key"]]["test_accuracy"]
        assert len(client.get_metric_history(run.info.run_id, "validation_accuracy")) == 2

    ledger = Ledger(folder / "outputs")
    assert ledger.sweep("sub/pair") == ledger.sweeps()[0]
    shutil.rmtree(folder / "outputs" / "runs" / next(iter(results)))
    newest = max(result.finished for run in ledger.runs() if (result := run.result()))
    code, said = _run(folder, *words)
    line = f"4 runs: 3 done already (the last {moment(newest)}), 1 to run in {folder}/outputs"
    assert (code, line in said) == (0, True), said
    assert _results(folder / "outputs") == results


def test_a_sweep_that_is_interrupted_and_loses_a_worker_ends_as_an_undisturbed_one(
    folder: Path, undisturbed: dict[str, dict[str, Any]]
) -> None:
    root = folder / "outputs"
    for number in (signal.SIGINT, signal.SIGTERM):
        sweep = _start(folder, *LONGER)
        _wait_for_epochs(sweep, root, 2)
        sweep.send_signal(number)
        said, _ = sweep.communicate(timeout=60)
        assert (sweep.returncode, "interrupted; the same command continues" in said) == (130, True), said
        states = {run.state().state for run in Ledger(root).runs()}
        assert RunState.interrupted in states
        assert RunState.running not in states
    sweep = _start(folder, *LONGER)
    os.kill(_wait_for_epochs(sweep, root, 2), signal.SIGKILL)
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 1, said
    assert len(_results(root)) == 3
    assert re.search(r"/4\] .* killed", said), said
    assert "1 run has no result; the same command runs it again" in said
    code, said = _run(folder, *LONGER)
    assert code == 0, said
    assert re.search(r"4 runs: 3 done already \(the last .*\), 1 to run", said)
    resumed = [run for run in Ledger(root).runs() if len(run.attempts()) > 1]
    assert resumed
    assert all(run.attempts()[-1].resumed_from for run in resumed)
    assert _results(root) == undisturbed


def test_runs_end_when_the_command_is_killed_outright(folder: Path) -> None:
    sweep = _start(folder, *TWO_VARIANTS, "training.epochs=40", "tracking.enabled=false")
    pid = _wait_for_epochs(sweep, folder / "outputs", 1)
    sweep.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
    assert sweep.stdout is not None
    sweep.stdout.close()
    sweep.wait()


def test_one_run_without_m(folder: Path) -> None:
    code, said = _run(folder, *SMALL, "seed=3")
    assert code == 0, said
    found = re.search(r"epoch 2/2.*\n(?:.*\n)*(test accuracy \d+\.\d+% \(epoch . of 2\) in .*\n)", said)
    assert found, said
    [run] = Ledger(folder / "outputs").runs()
    assert (run.spec().config["seed"], run.spec().config["machine"]["threads"]) == (3, 1)
    result = run.result()
    assert result is not None
    assert _run(folder, *SMALL, "seed=3") == (0, f"done already, {moment(result.finished)}: {found[1]}")
    assert Ledger(folder / "outputs").sweeps()[0].settings == (
        *(each for each in SMALL if each != "data=digits"),
        "seed=3",
    )


def test_bad_input_is_answered_in_one_line_before_anything_runs(folder: Path) -> None:
    """As an own process; tests/test_wrong_input.py has the others."""
    before = sorted(folder.rglob("*"))
    code, said = _run(folder, "-m", "ablation=pair", "root=own/ablation/pair.yaml")
    assert code == 2, said
    assert re.fullmatch(r"terminator: root=.*pair\.yaml: cannot be written .*\n", said), said
    assert sorted(folder.rglob("*")) == before


def test_help_lists_choices_alone(folder: Path) -> None:
    code, said = _run(folder, "--help")
    assert (code, "data: cifar10, cifar100, digits, " in said) == (0, True), said
    assert "_schema" not in said


def test_a_plan_runs_nothing(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    code, said = _run(folder, *TWO_VARIANTS, "sweep.plan=true")
    assert (code, "4 runs; 0 done, 4 to run" in said) == (0, True), said
    assert "model.gate=mixer" in said
    assert sorted(folder.rglob("*")) == before


def test_a_plan_as_json_is_one_document(folder: Path) -> None:
    process = subprocess.run(
        _command(*TWO_VARIANTS, "sweep.plan=true", "--json"),
        cwd=folder, env=_environment(), capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    document = json.loads(process.stdout)
    assert (document["runs"], document["done"]) == (4, 0)
    assert [variant["overrides"] for variant in document["ablations"][0]["variants"]] == [{}, {"model.gate": "mixer"}]


def test_the_values_of_an_ablations_axis_can_be_typed(folder: Path) -> None:
    words = ("ablation.one_at_a_time={model.width:[4.0]}", "ablation.question='[/x] Why [now]?'")
    code, said = _run(folder, "-m", "ablation=width", *words, "sweep.plan=true")
    assert (code, "width=4.0" in said, "width=2.0" in said) == (0, True, False), said
    assert "width: [/x] Why [now]?" in said


def test_a_hydra_launcher_runs_what_has_no_result_and_the_table_follows(folder: Path) -> None:
    (folder / "noting.py").write_text(NOTING)
    words = ["-m", "ablation=pair", "seed=0", *SMALL, "tracking.enabled=false"]
    options = [*words, "+hydra.callbacks.noting._target_=noting.Noting"]
    unheard = "hydra.callbacks: on_job_start and on_job_end of noting are not called"
    code, said = _run(folder, *options, "hydra/launcher=submitit_local")
    assert (code, unheard in said) == (0, False), said
    assert re.search(r"full\b.*\d+\.\d", said)
    assert len(_results(folder / "outputs")) == 2
    assert len(list(folder.glob("*.noted"))) == 2
    code, said = _run(folder, *options)
    assert (code, unheard in said) == (0, True), said


def test_another_sweeper_starts_single_runs_and_hears_of_one_that_fails(folder: Path) -> None:
    (folder / "noting.py").write_text(NOTING)
    rates = ["optimizer.lr=1e12,1e-3", "training.warmup_epochs=0", "+hydra.callbacks.noting._target_=noting.Noting"]
    words = ["-m", "hydra/sweeper=basic", *SMALL, "tracking.enabled=false", *rates]
    code, said = _run(folder, *words)
    assert (code, said.splitlines()[-1].endswith("the loss is nan at step 2 (epoch 1)")) == (1, True), said
    [(key, metrics)] = _results(folder / "outputs").items()
    assert Ledger(folder / "outputs").run(key).spec().config["optimizer"]["lr"] == 1e-3
    assert (folder / "0.noted").read_text().endswith("the loss is nan at step 2 (epoch 1)")
    assert (folder / "1.noted").read_text() == str(metrics["validation_accuracy"])
    code, said = _run(folder, *words, "ablation=pair")
    line = "terminator: ablation=pair: an ablation is a sweep; leave out hydra/sweeper=basic"
    assert (code, said.splitlines()[-1]) == (2, line)


def test_a_folder_with_files_of_the_same_names_changes_nothing(folder: Path) -> None:
    """Neither its analysis.py, nor its conf/, sweeps/ and tests/, nor its terminator.yaml are read or imported."""
    for name in ("analysis.py", "tests/__init__.py", "sweeps/__init__.py", "conf/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('imported from the current folder')\n")
    for name in ("terminator.yaml", "conf/config.yaml", "conf/data/digits.yaml", "sweeps/ablation/pair.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no_such_key: 1\n")
    options = [*TWO_VARIANTS, "tracking.enabled=false"]
    code, said = _run(folder, *options)
    assert code == 0, said
    assert len(_results(folder / "outputs")) == 4
    elsewhere = folder / "elsewhere"
    shutil.copytree(folder / "own", elsewhere / "own")
    code, said = _run(elsewhere, *options, f"root={folder}/outputs", "sweep.plan=true")
    assert "4 done, 0 to run" in said, said


def test_a_damaged_result_is_named_set_aside_and_run_again(folder: Path) -> None:
    words = [*SMALL, "seed=0", "tracking.enabled=false"]
    assert _run(folder, *words)[0] == 0
    before = _results(folder / "outputs")
    [run] = Ledger(folder / "outputs").runs()
    (run.folder / "result.json").write_bytes(b"\x80\x02broken")
    code, said = _run(folder, *words)
    assert code == 0, said
    assert "result.json" in said
    assert list(run.folder.glob("result.json.corrupt-*"))
    assert _results(folder / "outputs") == before
