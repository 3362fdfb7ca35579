"""The main job through the command line: a sweep, its table, its MLflow, interruptions.

In this process, as a start takes seconds; of its own where a signal or what Python imports is the point.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from terminator.ledger import Ledger, RunState
from terminator.run.command import main
from terminator.text import moment

SMALL = ["model.depth=1", "model.channels=[12]", "data=digits", "training.epochs=2", "training.batch_size=128"]
TWO_VARIANTS = ["-m", "ablation=pair", "seed=0,1", *SMALL]
ONE_SEED = ["-m", "ablation=pair", "seed=0", *SMALL, "tracking.enabled=false"]
LONGER = [*ONE_SEED, "training.epochs=6", "sweep.workers=1"]
NOTING = """
from pathlib import Path
from hydra.experimental.callback import Callback

class Noting(Callback):
    def on_job_end(self, config, job_return, **given):
        Path(f"{config.hydra.job.num}.noted").write_text(str(job_return._return_value))
"""
PAIR = "question: Is a gate needed?\nvariants:\n  plain: {model.gate: mixer}\n"
MEASURED = {"train_seconds", "images_per_second", "peak_memory_bytes"}  # what a clock or the system says


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder far from the checkout, with an ablation file of the user's own; the current one."""
    own = tmp_path / "own" / "ablation"
    own.mkdir(parents=True)
    (own / "pair.yaml").write_text(PAIR)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], quick_pdfs: None) -> Iterator[Command]:
    """`python -m terminator.run --config-dir own WORDS` in this process: its exit code, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.delenv("TERMINATOR_ROOT", raising=False)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which `main` sets
        monkeypatch.setattr(sys, "argv", ["terminator run", "--config-dir", "own", *words])
        monkeypatch.setattr(logging.root, "handlers", [])  # pytest's
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capfd.readouterr()

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield call
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def _start(*words: str) -> subprocess.Popen[str]:
    """The command as a process of its own, in the current folder."""
    environment = {name: value for name, value in os.environ.items() if name != "TERMINATOR_ROOT"}
    command = [sys.executable, "-m", "terminator.run", "--config-dir", "own", *words]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _results(root: Path) -> dict[str, dict[str, Any]]:
    """What each run came to, without what was measured by a clock."""
    return {
        run.key: {name: value for name, value in result.metrics.items() if name not in MEASURED}
        for run in Ledger(root).runs()
        if (result := run.result()) is not None
    }


def _wait_for_epochs(root: Path, epochs: int) -> int:
    """Wait until some open attempt has logged so many epochs. Returns its process."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run in Ledger(root).runs():
            if run.state().state is RunState.running and len(run.metrics()) >= epochs:
                [*_, attempt] = run.attempts()
                assert attempt.pid is not None
                return attempt.pid
        time.sleep(0.05)
    raise AssertionError("no run got that far")


def test_a_sweep_its_table_its_mlflow_and_the_second_time(folder: Path, run: Command) -> None:
    """Of an ablation whose file is in a folder of its own."""
    (folder / "own" / "ablation" / "sub").mkdir()
    (folder / "own" / "ablation" / "pair.yaml").rename(folder / "own" / "ablation" / "sub" / "pair.yaml")
    words = ["-m", "ablation=sub/pair", "seed=0,1", *SMALL]
    code, table, said = run(*words)
    assert code == 0, said
    assert "4 runs: 0 done already, 4 to run" in said
    assert re.search(r"full +\d.* baseline", table), table
    (reports,) = (folder / "outputs" / "reports").glob("sub.pair-*")  # the sweep's own: it was typed with settings
    assert {".md", ".tex", ".csv", ".html", ".png"} <= {path.suffix for path in reports.rglob("*")}

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sub/pair")
    assert experiment is not None
    tracked = client.search_runs([experiment.experiment_id], "tags.run_key != ''")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.kind = 'sweep'")
    kept = {path.relative_to(reports) for path in reports.rglob("*.*") if path.parent != reports}
    in_mlflow = Path(parent.info.artifact_uri.removeprefix("file://").replace("%20", " ")) / "report"
    assert kept <= {path.relative_to(in_mlflow) for path in in_mlflow.rglob("*.*")}
    assert sorted((each.data.tags["variant"], each.data.tags["seed"]) for each in tracked) == [
        ("full", "0"),
        ("full", "1"),
        ("plain", "0"),
        ("plain", "1"),
    ]
    results = _results(folder / "outputs")
    for each in tracked:
        assert each.info.status == "FINISHED"
        assert each.data.metrics["test_accuracy"] == results[each.data.tags["run_key"]]["test_accuracy"]
        assert len(client.get_metric_history(each.info.run_id, "validation_accuracy")) == 2

    ledger = Ledger(folder / "outputs")
    assert ledger.sweep("sub/pair") == ledger.sweeps()[0]
    shutil.rmtree(folder / "outputs" / "runs" / next(iter(results)))
    newest = max(result.finished for each in ledger.runs() if (result := each.result()))
    code, _, said = run(*words, "tracking.enabled=false")
    line = f"4 runs: 3 done already (the last {moment(newest)}), 1 to run in {folder}/outputs"
    assert (code, line in said) == (0, True), said
    assert _results(folder / "outputs") == results


def test_a_sweep_that_is_interrupted_and_loses_a_worker_ends_as_an_undisturbed_one(folder: Path, run: Command) -> None:
    assert run(*LONGER, "root=undisturbed")[0] == 0
    root = folder / "outputs"

    def stopped(code: int | None, said: str) -> None:
        assert (code, "interrupted; the same command continues" in said) == (130, True), said
        states = {each.state().state for each in Ledger(root).runs()}
        assert states == {RunState.interrupted, RunState.pending}  # the one that waited was not started

    sweep = _start(*LONGER)
    _wait_for_epochs(root, 2)
    sweep.send_signal(signal.SIGINT)
    said, _ = sweep.communicate(timeout=60)
    stopped(sweep.returncode, said)

    def meanwhile(act: Callable[[int], None]) -> tuple[int, str]:
        other = threading.Thread(target=lambda: act(_wait_for_epochs(root, 2)))
        other.start()
        code, out, said = run(*LONGER)
        other.join()
        return code, out + said

    stopped(*meanwhile(lambda _: os.kill(os.getpid(), signal.SIGTERM)))
    code, said = meanwhile(lambda worker: os.kill(worker, signal.SIGKILL))
    assert code == 1, said
    assert len(_results(root)) == 1
    assert re.search(r"/2\] .* killed", said), said
    assert "1 run has no result; the same command runs it again" in said
    code, _, said = run(*LONGER)
    assert code == 0, said
    assert re.search(r"2 runs: 1 done already \(the last .*\), 1 to run", said)
    resumed = [each for each in Ledger(root).runs() if len(each.attempts()) > 1]
    assert resumed
    assert all(each.attempts()[-1].resumed_from for each in resumed)
    assert _results(root) == _results(folder / "undisturbed")


def test_runs_end_when_the_command_is_killed_outright(folder: Path) -> None:
    sweep = _start(*ONE_SEED, "training.epochs=40")
    pid = _wait_for_epochs(folder / "outputs", 1)
    sweep.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
    assert sweep.stdout is not None
    sweep.stdout.close()
    sweep.wait()


def test_one_run_without_m(folder: Path, run: Command) -> None:
    words = [*SMALL, "seed=3", "tracking.enabled=false"]
    code, out, said = run(*words)
    assert (code, "epoch 2/2" in said) == (0, True), said
    found = re.fullmatch(r"test accuracy \d+\.\d+% \(epoch . of 2\) in .*\n", out)
    assert found, out
    [only] = Ledger(folder / "outputs").runs()
    assert (only.spec().config["seed"], only.spec().config["machine"]["threads"]) == (3, 1)
    result = only.result()
    assert result is not None
    assert run(*words) == (0, f"done already, {moment(result.finished)}: {found[0]}", "")
    settings = Ledger(folder / "outputs").sweeps()[0].settings
    assert settings == (*(each for each in SMALL if each != "data=digits"), "seed=3")

    before = _results(folder / "outputs")
    (only.folder / "result.json").write_bytes(b"\x80\x02broken")  # named, set aside and run again
    code, _, said = run(*words)
    assert (code, "result.json is damaged" in said) == (0, True), said
    assert list(only.folder.glob("result.json.corrupt-*"))
    assert _results(folder / "outputs") == before


def test_help_lists_choices_alone(folder: Path, run: Command) -> None:
    code, out, said = run("--help")
    assert (code, "data: cifar10, cifar100, digits, " in out, said) == (0, True, "")
    assert "_schema" not in out


def test_a_plan_runs_nothing(folder: Path, run: Command) -> None:
    before = sorted(folder.rglob("*"))
    code, out, said = run(*TWO_VARIANTS, "sweep.plan=true")
    assert (code, "4 runs; 0 done, 4 to run" in out) == (0, True), said
    assert "model.gate=mixer" in out
    code, out, said = run(*TWO_VARIANTS, "sweep.plan=true", "--json")
    document = json.loads(out)
    assert (code, document["runs"], document["done"]) == (0, 4, 0), said
    assert [variant["overrides"] for variant in document["ablations"][0]["variants"]] == [{}, {"model.gate": "mixer"}]
    assert sorted(folder.rglob("*")) == before


def test_the_values_of_an_ablations_axis_can_be_typed(folder: Path, run: Command) -> None:
    words = ("ablation.one_at_a_time={model.width:[4.0]}", "ablation.question='[/x] Why [now]?'")
    code, out, said = run("-m", "ablation=width", *words, *SMALL, "sweep.plan=true")
    assert (code, "width=4.0" in out, "width=2.0" in out) == (0, True, False), said
    assert "width (digits): [/x] Why [now]?" in out


def test_a_hydra_launcher_runs_what_has_no_result_and_the_table_follows(
    folder: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "noting.py").write_text(NOTING)
    monkeypatch.syspath_prepend(folder)
    assert run("seed=0", *SMALL, "tracking.enabled=false")[0] == 0  # the baseline
    options = [*ONE_SEED, "+hydra.callbacks.noting._target_=noting.Noting"]
    unheard = "hydra.callbacks: on_job_start and on_job_end of noting are not called"
    code, table, said = run(*options, "hydra/launcher=submitit_local")
    assert (code, unheard in said) == (0, False), said
    assert re.search(r"full +\d.* baseline", table), table
    assert len(_results(folder / "outputs")) == 2
    assert len(list(folder.glob("*.noted"))) == 1
    code, _, said = run(*options)
    assert (code, unheard in said) == (0, True), said


def test_another_sweeper_starts_single_runs_and_hears_of_one_that_fails(
    folder: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "noting.py").write_text(NOTING)
    monkeypatch.syspath_prepend(folder)
    rates = ["optimizer.lr=1e12,1e-3", "training.warmup_epochs=0", "+hydra.callbacks.noting._target_=noting.Noting"]
    words = ["-m", "hydra/sweeper=basic", *SMALL, "tracking.enabled=false", *rates]
    code, _, said = run(*words)
    assert (code, said.splitlines()[-1].endswith("the loss is nan at step 2 (epoch 1)")) == (1, True), said
    [(key, metrics)] = _results(folder / "outputs").items()
    assert Ledger(folder / "outputs").run(key).spec().config["optimizer"]["lr"] == 1e-3
    assert (folder / "0.noted").read_text().endswith("the loss is nan at step 2 (epoch 1)")
    assert (folder / "1.noted").read_text() == str(metrics["validation_accuracy"])
    code, _, said = run(*words, "ablation=pair")
    line = "terminator: ablation=pair: an ablation is a sweep; leave out hydra/sweeper=basic"
    assert (code, said.splitlines()[-1]) == (2, line)


def test_a_folder_with_files_of_the_same_names_changes_nothing(
    folder: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its analysis.py, nor its conf/, sweeps/ and tests/, nor its terminator.yaml are read or imported."""
    for name in ("analysis.py", "tests/__init__.py", "sweeps/__init__.py", "conf/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("raise SystemExit('imported from the current folder')\n")
    for name in ("terminator.yaml", "conf/config.yaml", "conf/data/digits.yaml", "sweeps/ablation/pair.yaml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no_such_key: 1\n")
    sweep = _start(*ONE_SEED)
    said, _ = sweep.communicate(timeout=240)
    assert sweep.returncode == 0, said
    assert len(_results(folder / "outputs")) == 2
    elsewhere = folder / "elsewhere"
    shutil.copytree(folder / "own", elsewhere / "own")
    monkeypatch.chdir(elsewhere)
    code, out, said = run(*ONE_SEED, f"root={folder}/outputs", "sweep.plan=true")
    assert (code, "2 done, 0 to run" in out) == (0, True), said
