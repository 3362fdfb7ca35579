"""The wheel carries its YAML, runs from any folder, and changes no other Hydra application beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
SHIPPED = ("conf/config.yaml", "conf/model/release.yaml", "sweeps/ablation/branches.yaml", "slurm/cluster/dev.yaml")
APPLICATION = {
    "app.py": """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    print(config)

if __name__ == "__main__":
    main()
""",
    "composed.py": """
from hydra import compose, initialize

with initialize(version_base="1.3", config_path="conf"):
    print(compose("config", ["model=vgg", "data=two"]))
""",
    "noting.py": """
from hydra.experimental.callback import Callback

class Noting(Callback):
    def on_run_start(self, **given): print("run start")
    def on_run_end(self, **given): print("run end")
    def on_multirun_start(self, **given): print("multirun start")
    def on_multirun_end(self, **given): print("multirun end")
    def on_job_start(self, **given): print("job start")
    def on_job_end(self, **given): print("job end")
""",
    "conf/config.yaml": """
defaults: [{data: one}, {cluster: mine}, {ablation: none}, _self_]
model: resnet
hydra: {callbacks: {noting: {_target_: noting.Noting}}}
""",
    "conf/data/one.yaml": "name: one",
    "conf/data/two.yaml": "name: two",
    "conf/cluster/mine.yaml": "nodes: 1",
    "conf/ablation/none.yaml": "parts: []",
    "conf/hydra/launcher/slurm.yaml": "_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the built wheel is installed in."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application with groups of the suite's names, a launcher of its own and a callback."""
    folder = tmp_path_factory.mktemp("application")
    for name, text in APPLICATION.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def test_the_built_wheel_plans_an_ablation_elsewhere(installed: Path, tmp_path: Path) -> None:
    for file in SHIPPED:
        assert (installed / "terminator" / "shipped" / file).is_file()
    plan = "import terminator.__main__ as t; assert t.__file__.startswith({!r}), t.__file__; t.main()"
    words = ["run", "-m", "ablation=branches", "model.depth=1", "model.channels=[12]", "sweep.plan=true"]
    answer = subprocess.run(
        [sys.executable, "-c", plan.format(str(installed)), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "33 runs; 0 done, 33 to run" in answer.stdout
    assert not list(tmp_path.iterdir())


# Each command as if typed, all in one process, as each would take a second to start.
COMMANDS = """
import contextlib, io, json, logging, runpy, sys
from hydra.core.global_hydra import GlobalHydra
for words in json.loads(sys.argv[1]):
    sys.argv, code = words, 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            runpy.run_path(words[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code or 0
        logging.shutdown()
        GlobalHydra.instance().clear()
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
NEEDS_THE_SUITE = ["app.py", "-m", "hydra/sweeper=ablation", "model=vgg,resnet"]
SAID = [
    (["app.py", "model=vgg", "data=two"], "run start\njob start\n{'data': {'name': 'two'}"),
    (["app.py", "-m", "cluster=glob(*)", "ablation=glob(*)", "hydra/launcher=slurm"], "Launching 1 jobs locally"),
    (["app.py", "--help"], "cluster: mine"),
    (["app.py", "--cfg", "all"], "model: resnet"),
    (["app.py", "--info", "searchpath"], "structured://"),
    (["app.py", "data=digits"], ""),
    (["composed.py"], "'model': 'vgg'"),
    (NEEDS_THE_SUITE, ""),
]


def run(application: Path, *installed: Path) -> list[tuple[int, str, str]]:
    """The commands of the application where all is installed that is here, but for the suite, and `installed`."""
    others = [path for path in sys.path if not (Path(path) / "hydra_plugins" / "terminator_plugins").is_dir()]
    answer = subprocess.run(
        [sys.executable, "-S", "-c", COMMANDS, json.dumps([words for words, _ in SAID])],
        cwd=application,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(application), *map(str, installed), *others])},
        capture_output=True,
        text=True,
        check=True,
    )
    timeless = re.sub(r"\[\d{4}-\d\d-\d\d [\d:,]+\]", "", answer.stdout)
    return [(code, out, err) for code, out, err in map(json.loads, timeless.splitlines())]


def test_another_application_is_as_it_is_without_the_suite(application: Path, installed: Path) -> None:
    alone, beside = run(application), run(application, installed)
    for (words, said), (code, out, err) in zip(SAID, alone, strict=True):
        assert code == (1 if words in (NEEDS_THE_SUITE, ["app.py", "data=digits"]) else 0), err
        assert said in out, words
    assert "Available options in 'hydra/sweeper'" in alone[-1][2]
    code, _, said = beside.pop()
    assert beside == alone[:-1]
    assert (code, said.splitlines()[0]) == (
        1,
        "hydra/sweeper=ablation: sweeps over the configuration of terminator.run alone, which this application "
        "does not have; choose another sweeper",
    )
