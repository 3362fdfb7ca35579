from __future__ import annotations

import subprocess
import sys

PRINT = "print(*{name.partition('.')[0] for name in sys.modules})"
CODE = f"""
import sys, terminator.analysis.report; {PRINT}
import terminator.analysis.claims, terminator.analysis.figures, terminator.analysis.page; {PRINT}
"""


def test_analysis_needs_neither_torch_nor_mlflow_and_the_terminal_s_tables_wait_for_nothing_slow() -> None:
    answer = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    tables, everything = map(set, map(str.split, answer.splitlines()))
    assert not tables & {"torch", "mlflow", "seaborn", "matplotlib", "statsmodels", "jinja2"}
    assert "matplotlib" in everything
    assert not everything & {"torch", "mlflow"}
