"""Tables, figures and one page: `python -m analysis.report ABLATION …`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from terminator.analysis.load import load
from terminator.analysis.metrics import check_logged
from terminator.analysis.mlflow import linked
from terminator.analysis.results import OneOrMany, Results, own_settings
from terminator.analysis.summary import Summary, summarize
from terminator.analysis.tables import build_tables, labels
from terminator.analysis.tables.render import print_table, write_tables
from terminator.analysis.tables.table import Table
from terminator.errors import UserError
from terminator.ledger import default_root

NAMES = 4  # in a folder's name


def write_report(
    root: Path | str | None = None,
    ablations: OneOrMany | None = None,
    *,
    sweep: str | None = None,
    dataset: OneOrMany | None = None,
    metric: str | None = None,
    extra: Sequence[str] = (),
    out: Path | str | None = None,
    tracking_uri: str | None = None,
    baseline: str | None = None,
) -> Path:
    """Print the tables, then write them with the figures and the page into `out` (default: ROOT/reports/<names>/, of a
    `sweep` with settings of its own ROOT/reports/<sweep>/).

    `ablations`, `sweep`, `dataset`, `tracking_uri`, `baseline`: as in `analysis.load`. `metric`: judge by this one
    instead of the ablation's own; `extra`: further metrics to show. Returns the page's file, `<out>/report.html`.
    Raises UserError.
    """
    home = Path(root) if root is not None else default_root()
    results = load(home, ablations, sweep=sweep, dataset=dataset, tracking_uri=tracking_uri, baseline=baseline)
    results = linked(results, home)
    for name in extra:
        check_logged(results, name)
    summaries = [summarize(results, question, metric) for question in results.questions]
    tables = build_tables(summaries, extra)
    for table in tables:
        if not table.repeats:
            print_table(table)
    name = _name(summaries, with_data=dataset is not None)
    if sweep is not None and own_settings(summaries[0].question.sweep):
        name = summaries[0].question.sweep.id
    folder = Path(out) if out is not None else home / "reports" / name
    write_tables(tables, folder / "tables")
    page = folder / "report.html"
    page.write_text(_page(results, summaries, tables, folder), "utf-8")
    print(f"Report: {page}")
    return page


def _page(results: Results, summaries: Sequence[Summary], tables: Sequence[Table], folder: Path) -> str:
    """Draw the figures into `folder`, and put the page together."""
    # Not before the tables are out: seaborn and jinja2 take their time to import.
    from terminator.analysis.figures import draw_figures
    from terminator.analysis.page import Part, render_page

    parts = []
    for summary, label in zip(summaries, labels(summaries), strict=True):
        own = [table for table in tables if table.of == label]
        parts.append(Part(label, summary, own, draw_figures(results, summary, folder / "figures", label)))
    shared = [table for table in tables if not any(table in part.tables for part in parts)]
    return render_page(results, parts, shared)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m analysis.report", description="Tables, figures and one page.")
    parser.add_argument("ablations", nargs="*", metavar="ABLATION", help="default: all that have results")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    parser.add_argument("--sweep", help="a sweep's id, or how it begins (default: see docs/results.md)")
    parser.add_argument("--data", nargs="+", metavar="DATASET", help="the newest sweep on each of these data sets")
    parser.add_argument("--metric", help="judge by this metric (default: the ablation's own)")
    parser.add_argument("--extra", nargs="+", default=[], metavar="METRIC", help="further metrics to show")
    parser.add_argument("--mlflow", metavar="URI", help="read this MLflow store or server, and no ledger")
    parser.add_argument("--baseline", help="another variant to compare with; only with --mlflow")
    parser.add_argument("--out", help="folder to write into (default: ROOT/reports/<names>)")
    given = parser.parse_args(arguments)
    try:
        write_report(
            given.root,
            given.ablations or None,
            sweep=given.sweep,
            dataset=given.data,
            metric=given.metric,
            extra=given.extra,
            out=given.out,
            tracking_uri=given.mlflow,
            baseline=given.baseline,
        )
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        sys.exit(2)


def _name(summaries: Sequence[Summary], *, with_data: bool) -> str:
    ablations = list(dict.fromkeys(summary.name for summary in summaries))
    names = "+".join(ablations if len(ablations) <= NAMES else [*ablations[:NAMES], f"{len(ablations) - NAMES}-more"])
    data = "+".join(dict.fromkeys(summary.dataset for summary in summaries))
    return f"{names}-{data}" if with_data else names


if __name__ == "__main__":
    main()
