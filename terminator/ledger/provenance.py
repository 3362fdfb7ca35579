"""Where runs come from: their code, their environment and their process."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import socket
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from terminator.ledger.records import AttemptRecord, Code

PACKAGE = Path(__file__).parents[1]
COMPUTES = ("model", "data", "training")  # the subpackages that results depend on


def digest(plain: dict[str, Any]) -> str:
    """A hash of plain values, whatever the order of their keys: 16 hexadecimal digits."""
    canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def package_hash(package: Path = PACKAGE) -> str:
    """A hash of all computing code under `package`, without comments and docstrings: 16 hexadecimal digits.

    It names the code of a sweep; a run's own is a part of it (see terminator.run_key).
    """
    sha = hashlib.sha256()
    for folder in COMPUTES:
        for path in sorted((package / folder).rglob("*.py")):
            code = substance(ast.parse(path.read_text("utf-8"), filename=str(path)))
            sha.update(f"{path.relative_to(package).as_posix()}\0{code}\0".encode())
    return sha.hexdigest()[:16]


def substance(tree: ast.Module) -> str:
    """The code of a file without comments, formatting and docstrings; takes the docstrings out of `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and _has_docstring(node):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _has_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


@lru_cache(maxsize=1)
def hostname() -> str:
    """This machine, as attempts name it."""
    return socket.gethostname()


def process_started(pid: int) -> str | None:
    """When process `pid` began, which tells it from any other of that id; None if it has ended."""
    if not Path("/proc/self/stat").exists():
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    if fields[0] in "ZX":  # ended, but its parent has not asked yet
        return None
    return f"{_boot()}/{_namespace()}/{fields[19]}"


@lru_cache(maxsize=1)
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()


@lru_cache(maxsize=1)
def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")


def is_alive(host: str | None, pid: int | None, started: str | None) -> bool | None:
    """Whether that process still runs; None where that can't be told: on another machine, or in another container."""
    if host is None or pid is None or started is None:
        return False
    if host != hostname() or _in_another_container(started):
        return None
    return process_started(pid) == started


def _in_another_container(started: str) -> bool:
    """Whether the process was counted in another namespace of this machine: its id means another process here."""
    boot, _, rest = started.partition("/")
    namespace, _, _ = rest.rpartition("/")
    return bool(namespace) and boot == _boot() and namespace != _namespace()


def this_process() -> tuple[str, int, str]:
    """Host, process id and start of the calling process."""
    pid = os.getpid()
    return hostname(), pid, process_started(pid) or ""


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
    code = Code(hash=package_hash(package), commit=commit, dirty=bool(diff))
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


def _git(folder: Path, *arguments: str, differs: bool = False) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    good = (0, 1) if differs else (0,)  # `diff --no-index` says 1 where the files differ
    return answer.stdout.decode("utf-8", errors="replace") if answer.returncode in good else None


def _environment() -> dict[str, Any]:
    packages = {name: version for name in PACKAGES if (version := package_version(name))}
    return {
        "python": platform.python_version(),
        "torch": packages.get("torch"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "packages": packages,
    }


def package_version(name: str) -> str | None:
    """The version of an installed package; None of one that is not."""
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


def alive_here(record: AttemptRecord) -> bool | None:
    """Whether the attempt's process still runs on this machine; None where it ran on another one."""
    return is_alive(record.host, record.pid, record.process_started)
