"""Reading results, statistics, tables, figures and the report. Imports no torch."""

from analysis.load import load
from analysis.results import Question, Results

__all__ = ["Question", "Results", "load"]
