"""Reading results, statistics, tables, figures and the report. Imports no torch."""
