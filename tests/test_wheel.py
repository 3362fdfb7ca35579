"""The wheel carries its YAML and runs from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SHIPPED = ("conf/config.yaml", "conf/model/release.yaml", "sweeps/ablation/branches.yaml", "slurm/cluster/dev.yaml")


def test_the_built_wheel_plans_an_ablation_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    for file in SHIPPED:
        assert (installed / "terminator" / "shipped" / file).is_file()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plan = "import terminator.__main__ as t; assert t.__file__.startswith({!r}), t.__file__; t.main()"
    answer = subprocess.run(
        [sys.executable, "-c", plan.format(str(installed)), "run", "-m", "ablation=branches", "sweep.plan=true"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert "33 runs; 0 done, 33 to run" in answer.stdout
    assert not list(elsewhere.iterdir())
