"""Wrong input, typed as a user would: one line that names it, exit code 2, and nothing changed on disk.

All in one process, through the command's own entry point.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from hydra._internal.hydra import Hydra

from terminator.__main__ import main

PAIR = "variants:\n  plain: {model.gate: mixer}\n"
OWN = {
    "ablation/pair.yaml": PAIR,
    "ablation/same.yaml": "variants:\n  same: {model.gate: rgu}\n",
    "ablation/seeds.yaml": f"seeds: 3\n{PAIR}",
    "ablation/typo.yaml": "variants:\n  plain: {trainig.epochs: 1}\n",
    "ablation/added.yaml": "variants:\n  plain: {+foo: 1}\n",
    "ablation/number.yaml": "variants:\n  1: {model.gate: mixer}\n",
    "ablation/sequence.yaml": "- a\n- b\n",
    "ablation/listed.yaml": "variants:\n  - plain\n",
    "ablation/resources.yaml": f"{PAIR}resources:\n  plain: {{timeout: 1}}\n",
    "ablation/seeded.yaml": "variants:\n  a: {seed: 3}\n",
    "ablation/metric.yaml": f"metric: accuracy\n{PAIR}",
    "ablation/key.yaml": "one_at_a_tme:\n  model.width: [2]\n",
    "ablation/match.yaml": "match: params\n",
    "ablation/yaml.yaml": "question: [Why?\n",
    "ablation/my thing.yaml": PAIR,
    "model/wide.yaml": "widht: 2\n",
    "model/other.yaml": "architecture: resnett\n",
    "data/mine.yaml": "nmae: digits\n",
    "data/bare.yaml": "name: bare\nformat: digits\n",
    "optimizer/mine.yaml": "rl: 0.1\n",
    "recipe/mine.yaml": "training: {epoch: 3}\n",
    "cluster/mine.yaml": "partiton: x\n",
}
NETS = """
from torch import nn

class Flat(nn.Sequential):
    def __init__(self, outputs=10):
        super().__init__(nn.Flatten(), nn.Linear(64, outputs))
"""
TOP = r"choose from model, data, optimizer, .*"
SWEEP = ("-m", "ablation=pair")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name, text in OWN.items():
        (folder / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "own" / name).write_text(text)
    (folder / "flat_nets.py").write_text(NETS)
    (folder / "shadow" / "ablation").mkdir(parents=True)
    (folder / "shadow" / "ablation" / "gating.yaml").write_text(PAIR)
    return folder


@pytest.mark.parametrize(
    ("words", "line"),
    [
        # keys
        (["trainig.epochs=1"], rf"trainig\.epochs: no such key; did you mean training\.epochs\? {TOP}"),
        ([*SWEEP, "training.epoch=1"], r"training\.epoch: no such key; did you mean epochs\? choose from epochs, .*"),
        (["epochs=1"], rf"epochs: no such key; did you mean training\.epochs\? {TOP}"),
        (["gated=false"], rf"gated: no such key; did you mean model\.branches\.gated\? {TOP}"),
        (["seeds=3"], rf"seeds: no such key; did you mean seed\? {TOP}"),
        (["+foo=1"], rf"\+foo: no such key; {TOP}"),
        ([*SWEEP, "++model.gat=glu"], r"\+model\.gat: no such key; did you mean gate\? choose from architecture, .*"),
        (["~seed"], r"~seed: cannot be deleted; seed=… changes it"),
        (["~model"], r"~model: must name a file of the group model, or be left out"),
        # values
        (["data.test_images=5000"], r"data\.test_images=5000: of 1,797 digits it must leave some to train on, .*"),
        (
            ["model=custom", "model.target=flat_nets:Flat", "data=mnist1d"],
            r"model\.target=flat_nets:Flat: cannot take images of mnist1d, \(1, 40\): RuntimeError: mat1 and mat2 .*",
        ),
        (
            ["model=custom", "model.target=flat_nets:Flat", "model.arguments.outputs=11"],
            r"model\.target=flat_nets:Flat: images of .* must give logits of \(16, 10\), not \(16, 11\)",
        ),
        pytest.param(
            [*SWEEP, "machine.device=cuda"],
            r"machine\.device=cuda: PyTorch sees no GPU on this machine; choose auto or cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
        (["seed=-1"], r"seed=-1: must be from 0 to 2⁶³ − 1"),
        (["training.batch_size=1258"], r"training\.batch_size=1258: must be at most the 1,257 training images"),
        (["data=sdigits", "data.cutout=2"], r"data\.cutout=2: it is for images, and sdigits has sequences; .*"),
        (["machine.threads=0"], r"machine\.threads=0: must be at least 1"),
        (["training.epochs=null"], r"training\.epochs: must not be null"),
        (["training.epochs=ten"], r"training\.epochs: Value 'ten' of type 'str' could not be converted to Integer"),
        ([*SWEEP, "ablation.smallest_effect=5"], r"ablation\.smallest_effect=5\.0: must be below 1, as a share of .*"),
        ([*SWEEP, "ablation.seeds=3"], r"ablation\.seeds: must be a list, as in \[1, 2\]"),
        ([*SWEEP, "ablation.seeds=[]"], r"ablation\.seeds=\[\]: give at least one seed.*"),
        ([*SWEEP, "model.gate=gru"], r"model\.gate: Invalid value 'gru', expected one of .*rgu.*"),
        ([*SWEEP, "model.local_kernels=[4]"], r"model\.local_kernels=\[4\]: sizes must be odd and .*"),
        (["seed=0,1"], r"seed=0,1: several values are a sweep; add -m"),
        (["model=range(3)"], r"model=range\(3\): several values are a sweep; add -m"),
        ([*SWEEP, "seed=a,b"], r"seed=a,b: seeds must be whole numbers, as in seed=0,1,2"),
        ([*SWEEP, "seed=0", "seed=1"], r"seed=1: seed= is given twice; list its values, as in seed=a,b"),
        ([*SWEEP, "model.width=[1"], r"model\.width=\[1: cannot be read; text needs quotes of its own, .*"),
        (["foo"], r"foo: must be key=value, as in seed=0,1,2"),
        (["sweep.notify=there"], r"sweep\.notify: a single run sends no message; add -m"),
        (
            [*SWEEP, "sweep.notify=slack://secret"],
            r"sweep\.notify: must be a file, as others could read an address and its token; .*",
        ),
        (["sweep.plan=true"], r"sweep\.plan=true: a single run has no plan; add -m"),
        (["--json"], r"sweep\.json=true: only with sweep\.plan=true; `report --json` shows results"),
        (
            [*SWEEP, "tracking.uri=http://me:secret@127.0.0.1:1"],
            r"tracking\.uri: must not hold a password, .*; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASS.*",
        ),
        # choices
        (["data=digit"], r"data=digit: no such data; did you mean digits\? choose from .*"),
        (["data=null"], r"data=null: must name a file of the group data, or be left out"),
        (["cluster=cpu"], r"cluster=cpu: a single run is trained here; add -m to submit it"),
        (["-m", "cluster=cpuu"], r"cluster=cpuu: no such cluster; did you mean cpu\? choose from cpu, .*"),
        (["ablation=pair"], r"ablation=pair: an ablation is a sweep; add -m"),
        (["-m", "ablation=nope"], r"ablation=nope: no such ablation; choose from .*branches, .*pair.*"),
        (["-m", "ablation=pair", "ablation=same"], r"ablation=same: ablation= is given twice; list its values, .*"),
        (["-m", "ablation=été"], r"ablation=été: a name is of letters from a to z, .*; rename the file"),
        (["-m", "ablation=my thing"], r"ablation=my thing: a name is of letters .*; rename the file"),
        (["-m", "ablation=my pair"], r"ablation=my pair: no such ablation; did you mean pair\? choose from .*"),
        (["-m", "ablation=pair.yaml"], r"ablation=pair\.yaml: names the file without \.yaml: ablation=pair"),
        # files
        (["-m", "ablation=seeds"], r"ablation/seeds: seeds: must be a list, as in \[1, 2\]"),
        (["-m", "ablation=typo"], rf"ablation=typo, plain: trainig\.epochs: .*; did you mean training\.epochs\? {TOP}"),
        (["-m", "ablation=added"], rf"ablation=added, plain: \+foo: no such key; {TOP}"),
        (["-m", "ablation=number"], r"ablation/number: variants\.1: names are text: put it in quotes"),
        (["-m", "ablation=listed"], r"ablation/listed: has a list \(- value\) where keys must map to values .*"),
        (["-m", "ablation=sequence"], r"ablation/sequence: must map keys to values"),
        (["-m", "ablation=resources"], r"resources\.plain\.timeout: .*; did you mean timeout_min\? choose from .*"),
        (["-m", "ablation=seeded"], r"ablation=seeded: variants\.a\.seed: variants cannot differ in it; .*"),
        (["-m", "ablation=metric"], r"ablation\.metric=accuracy: no such metric; did you mean .*\? choose from .*"),
        (["-m", "ablation=key"], r"ablation/key: one_at_a_tme: no such key; did you mean one_at_a_time\? choose .*"),
        (["-m", "ablation=match"], r"ablation/match: match: Invalid value 'params', expected .*parameters, flops\]"),
        (["-m", "ablation=yaml"], r".*/yaml\.yaml: line 1, column 15: invalid YAML: expected ',' or '\]', .*"),
        ([*SWEEP, "ablation.baseline=plan"], r"ablation=pair: baseline=plan: no such variant; did you mean plain\? .*"),
        (["-m", "ablation=same"], r"ablation=same: nothing to compare; same: the same configuration as .* full"),
        (["model=wide"], r"model/wide: widht: no such key; did you mean width\? choose from .*gate.*"),
        (["model=other"], r"model\.architecture=resnett: no such network; choose from .*resnet.*"),
        (["data=bare"], r"recipe=bare: no such recipe; without recipe= it has the name of the data; choose from .*"),
        (["data=mine", "recipe=digits"], r"data/mine: nmae: no such key; did you mean name\? choose from .*"),
        (["optimizer=mine"], r"optimizer/mine: rl: no such key; choose from name, lr, .*"),
        (["recipe=mine"], r"recipe/mine: training\.epoch: no such key; did you mean epochs\? choose from .*"),
        ([*SWEEP, "cluster=mine"], r"cluster/mine: partiton: no such key; did you mean partition\? choose from .*"),
        # options
        ([*SWEEP, "root=own/ablation/pair.yaml"], r"root=.*pair\.yaml: cannot be written .*"),
        (["--config-dir", "nope"], r"--config-dir=nope: no such folder"),
        (
            ["--config-dir", "shadow", *SWEEP],
            r"shadow/ablation/gating\.yaml: ablation=gating is the suite's own, which Hydra would take; .*",
        ),
        (["--config-path", "own"], r"--config-path: .*; --config-dir adds to it"),
        (["--config-name", "own"], r"--config-name: .*; --config-dir adds to it"),
        (["--confg-dir", "own"], r"--confg-dir: no such option; did you mean --config-dir\? see --help"),
        (["seed=0", "-m", "training.epochs=1"], r"training\.epochs=1: comes after an option .* -m first"),
        (["--cfg", "all", "--cfg", "jbo"], r"--cfg/-c: invalid choice: 'jbo' .*; see --help"),
    ],
)
def test_wrong_input_of_run(
    folder: Path,
    words: list[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    _refused(folder, ["run", "--config-dir", "own", *words], f"terminator: {line}", monkeypatch, capfd)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["rnu"], r"terminator: rnu: no such command; did you mean run\? choose from run, sweeps, .*"),
        (["report", "--nope"], r"terminator: --nope: no such option; see terminator report --help"),
        (["report", "--swep", "a"], r"terminator: --swep: no such option; did you mean --sweep\? see .* report --help"),
        (["report", "--most", "few"], r"terminator: --most=few: must be a whole number; see terminator report --help"),
        (["report"], r"terminator: root=.*: no results in it; terminator run -m ablation=… makes some"),
        (["claims", "seed=0"], r"terminator: seed=0: overrides are for the runs of --run, which is not given; .*"),
        (["claims", "--claims", "nope.yaml"], r"terminator: nope\.yaml: cannot be read \(No such file or directory\)"),
        (["completion", "fish"], r"terminator: fish: no such command; choose from bash, zsh, words; see .*"),
    ],
)
def test_wrong_input_of_other_commands(
    folder: Path,
    words: list[str],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Those of `sweeps`: tests/sweeps/test_commands.py."""
    _refused(folder, words, line, monkeypatch, capfd)


def _refused(
    folder: Path, words: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TERMINATOR_ROOT", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # which `main` sets
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(sys, "argv", ["terminator", *words])
    # Hydra composes everything once more to look for hydra.mode, and passes over what is wrong: a third of the time.
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert re.fullmatch(f"{line}\n", err), err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
