"""Where a run comes from: the commit and its uncommitted changes, the code's hash, the software and machine."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from terminator.ledger.key import PACKAGE, code_hash
from terminator.ledger.records import Code

PACKAGES = (
    "terminator-ablations",
    "torch",
    "numpy",
    "scikit-learn",
    "datasets",
    "pyarrow",
    "hydra-core",
    "omegaconf",
    "hydra-submitit-launcher",
    "submitit",
    "mlflow",
)


@dataclass(frozen=True)
class Provenance:
    """What every run of a sweep has in common. `diff`: the changes since `code.commit`, empty where there are none."""

    code: Code
    diff: str
    environment: dict[str, Any]


def provenance(package: Path = PACKAGE) -> Provenance:
    """The provenance of runs of the code in `package`, on this machine. An installed copy has no commit."""
    commit, diff = _working_tree(package)
    code = Code(hash=code_hash(package), commit=commit, dirty=bool(diff))
    return Provenance(code=code, diff=diff, environment=_environment())


def _working_tree(package: Path) -> tuple[str | None, str]:
    # A virtual environment may lie inside somebody's repository: the commit counts only if it holds this very file.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, ""
    commit, top = _git(package, "rev-parse", "HEAD"), _git(package, "rev-parse", "--show-toplevel")
    if commit is None or top is None:
        return None, ""
    diff = _git(package, "diff", "HEAD", "--binary") or ""
    untracked = _git(package, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", ".") or ""
    for name in filter(None, untracked.split("\0")):
        compare = ("diff", "--no-index", "--binary", "--", "/dev/null", name)
        diff += _git(Path(top.strip()), *compare, differs=True) or ""
    return commit.strip(), diff


def _git(folder: Path, *words: str, differs: bool = False) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    good = (0, 1) if differs else (0,)  # `diff --no-index` says 1 where the files differ
    return answer.stdout.decode("utf-8", errors="replace") if answer.returncode in good else None


def _environment() -> dict[str, Any]:
    packages = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "python": platform.python_version(),
        "torch": packages.get("torch"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "packages": packages,
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
