"""Reading results, statistics, tables, figures and the report. Imports no torch."""

from terminator.analysis.load import load
from terminator.analysis.results import Question, Results

__all__ = ["Question", "Results", "load"]
