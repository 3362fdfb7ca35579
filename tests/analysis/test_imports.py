from __future__ import annotations

import subprocess
import sys


def loaded(*modules: str) -> set[str]:
    """The top-level packages in memory once these modules are imported, in a process of their own."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_terminal_s_tables_wait_for_nothing_slow() -> None:
    slow = {"torch", "mlflow", "seaborn", "matplotlib", "statsmodels", "jinja2"}
    assert not loaded("terminator.analysis.report") & slow


def test_all_of_analysis_needs_neither_torch_nor_mlflow() -> None:
    everything = loaded("terminator.analysis.claims", "terminator.analysis.figures", "terminator.analysis.page")
    assert not everything & {"torch", "mlflow"}
