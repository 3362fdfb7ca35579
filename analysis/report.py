"""Tables, figures and one page, or JSON for a program: `python -m analysis.report ABLATION …`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from terminator.analysis.load import CURVE, load
from terminator.analysis.metrics import check_logged
from terminator.analysis.mlflow import linked
from terminator.analysis.results import OneOrMany, Results, own_settings
from terminator.analysis.statistics.variance import Spread
from terminator.analysis.summary import Summary, VariantSummary, summarize
from terminator.analysis.tables import build_tables, labels
from terminator.analysis.tables.render import check_writable, print_table, write_tables
from terminator.analysis.tables.screen import why_no_screen
from terminator.analysis.tables.table import Table
from terminator.entry import Parser, start, typed
from terminator.errors import UserError, storage_errors
from terminator.ledger import Sweep, Verdict, default_root, files
from terminator.text import file_name
from terminator.tracking.parents import record_report

EXAMPLES = """examples:
  terminator report                              everything that has results
  terminator report branches gating --out paper  two ablations, into the folder paper
  terminator report branches --metric flops      judged by another metric
  terminator report branches --json              the numbers for a program"""
EFFECT = ("name", "n", "difference", "interval", "p", "verdict")  # of what a variant's row has
NAMES = 4  # in a folder's name
TABLES, FIGURES, LISTING = "tables", "figures", ".files"


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
    as_json: bool = False,
    most: int | None = None,
) -> Path:
    """Print the tables, or with `as_json` their numbers as one JSON document, then write the tables, the figures and
    the page into `out` (default: ROOT/reports/<names>/, of a `sweep` with settings of its own ROOT/reports/<sweep>/).
    Tables and figures that an older report has left there, and this one does not have, are removed.

    `ablations`, `sweep`, `dataset`, `tracking_uri`, `baseline`: as in `analysis.load`. `metric`: judge by this one
    instead of the ablation's own; `extra`: further metrics to show; `most`: variants in a figure, 0 for all. Returns
    the page's file, `<out>/report.html`. Raises UserError.
    """
    if most is not None and most < 0:
        raise UserError(f"--most={most}: must be 0 (all variants) or more")
    home = Path(root) if root is not None else default_root()
    if out is not None:
        _check_writable(Path(out), f"out={out}")
    chosen = {"sweep": sweep, "tracking_uri": tracking_uri, "baseline": baseline}
    results = linked(load(home, ablations, dataset=dataset, curves=[CURVE], **chosen), home)
    for name in extra:
        check_logged(results, name)
    summaries = [summarize(results, question, metric) for question in results.questions]
    of = summaries[0].question.sweep if sweep is not None else None
    names = list(dict.fromkeys(summary.name for summary in summaries))
    datasets = list(dict.fromkeys(summary.dataset for summary in summaries)) if dataset is not None else []
    folder = Path(out) if out is not None else report_folder(home, names, of, datasets)
    if out is None:
        _check_writable(folder, f"root={home}", "; --out names another folder")
    tables = build_tables(summaries, extra)
    if as_json:
        records = [record(summary) for summary in summaries]
        print(json.dumps(records[0] if len(records) == 1 else records, indent=2, ensure_ascii=False, allow_nan=False))
    for table in tables:
        if not table.repeats and not as_json:
            print_table(table)
    written = write_tables(tables, folder / TABLES)
    page = folder / "report.html"
    text, drawn = _page(results, summaries, tables, folder, most)
    remove_older(folder, [*written, *drawn], is_own=out is None)
    files.write(page, text)
    sweeps = {question.sweep.id: question.sweep for question in results.questions}
    if len(sweeps) == 1 and not any((out, tracking_uri, metric, dataset)):
        record_report(home, sweeps.popitem()[1], page)
    if not as_json:
        print(f"Report: {page}")
    return page


def _check_writable(folder: Path, named: str, remedy: str = "") -> None:
    for part in (TABLES, FIGURES):
        check_writable(folder / part, named, remedy)


def record(summary: Summary) -> dict[str, Any]:
    """A summary's numbers as JSON has them, in full precision; docs/results.md says what each is."""
    looks = summary.question.looks if summary.is_own_metric else None
    compared = [variant.comparison for variant in summary.judged if variant.comparison is not None]
    with_result = len({seed for variant in summary.variants for seed in variant.values})
    return {
        "ablation": summary.name,
        "data": summary.dataset,
        "look": None if looks is None else len(looks),
        "seeds": with_result if looks is None else len(looks[-1].seeds) if looks else 0,
        "decided": sum(each.judgement.verdict is not Verdict.undecided for each in compared),
        "headline": summary.headline or None,
        "metric": summary.metric.name,
        "unit": summary.metric.unit or None,
        "smallest_effect": summary.smallest_effect,
        "baseline": summary.baseline.name,
        "variants": [_variant(each) | ({"verdict": None} if summary.is_screen else {}) for each in summary.variants],
        **_screen(summary),
    }


def _screen(summary: Summary) -> dict[str, Any]:
    """What a screen has besides: its main effects as rows, in the unit that they are judged in."""
    if not summary.is_screen:
        return {}
    of = summary.effects
    rows = [{key: each for key, each in _variant(row).items() if key in EFFECT} for row in summary.judged]
    return {
        "effects": rows,
        "effects_metric": of.metric.name if of else None,
        "why_no_effects": why_no_screen(summary) or None,
    }


def _variant(variant: VariantSummary) -> dict[str, Any]:
    comparison = variant.comparison
    interval = comparison.interval if comparison else None
    return {
        "name": variant.name,
        "n": variant.n,
        "mean": _number(variant.mean),
        "std": _number(variant.std),
        "difference": _number(comparison.pairs.mean) if comparison else None,
        "interval": [interval.low, interval.high] if interval else None,
        "p": comparison.p_difference if comparison else None,
        "verdict": comparison.judgement.verdict.value if comparison else None,
        "best": variant.best,
        "tied": variant.tied,
        **({} if variant.spread is None else _spread(variant.spread)),
    }


def _spread(spread: Spread) -> dict[str, Any]:
    """Of an ablation about the spread of runs alone."""
    of_std, of_share = spread.interval, spread.share_interval
    return {
        "std_interval": [of_std.low, of_std.high] if of_std else None,
        "variance_share": _number(spread.share),
        "variance_share_interval": [of_share.low, of_share.high] if of_share else None,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None


def _page(
    results: Results, summaries: Sequence[Summary], tables: Sequence[Table], folder: Path, most: int | None
) -> tuple[str, list[Path]]:
    """Draw the figures into `folder`, and put the page together: its text, and the figures' files."""
    # Not before the tables are out: seaborn and jinja2 take their time to import.
    from terminator.analysis.figures import MOST_VARIANTS, draw_figures
    from terminator.analysis.page import Part, render_page

    parts = []
    most = MOST_VARIANTS if most is None else most
    for summary, label in zip(summaries, labels(summaries), strict=True):
        own = [table for table in tables if table.of == label]
        parts.append(Part(label, summary, own, draw_figures(results, summary, folder / FIGURES, label, most)))
    shared = [table for table in tables if not any(table in part.tables for part in parts)]
    return render_page(results, parts, shared), [file for part in parts for each in part.figures for file in each.files]


def remove_older(folder: Path, written: Sequence[Path], *, is_own: bool) -> None:
    """Remove the tables and figures of older reports that were not `written` again, and none that others made.

    A report lists what it wrote. Where that list is missing, a folder that `is_own` (nobody chose it) has but reports.
    """
    listing = folder / LISTING
    now = {file.relative_to(folder).as_posix() for file in written}
    if listing.exists():
        older = listing.read_text("utf-8").splitlines()
    else:
        there = [file for part in (TABLES, FIGURES) for file in (folder / part).glob("*.*")] if is_own else []
        older = [file.relative_to(folder).as_posix() for file in there]
    for name in set(older) - now:
        part, _, file = name.partition("/")
        if part in (TABLES, FIGURES) and "/" not in file:
            (folder / part / file).unlink(missing_ok=True)
    files.write(listing, "\n".join(sorted(now)) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = Parser(
        prog=typed("report"),
        description="Tables (Markdown, LaTeX, CSV), figures and one page from the results of ablations.",
        epilog=EXAMPLES,
    )
    parser.add_argument("ablations", nargs="*", metavar="ABLATION", help="default: all that have results")
    parser.add_argument("--root", help="output root (default: $TERMINATOR_ROOT, else ./outputs)")
    parser.add_argument("--sweep", help="a sweep's id, or how it begins (default: see docs/results.md)")
    parser.add_argument("--data", nargs="+", metavar="DATASET", help="the newest sweep on each of these data sets")
    parser.add_argument("--metric", help="judge by this metric (default: the ablation's own)")
    parser.add_argument("--extra", nargs="+", default=[], metavar="METRIC", help="further metrics to show")
    parser.add_argument("--mlflow", metavar="URI", help="read this MLflow store or server, and no ledger")
    parser.add_argument("--baseline", help="another variant to compare with; only with --mlflow")
    parser.add_argument("--out", help="folder to write into (default: ROOT/reports/<names>)")
    parser.add_argument(
        "--most", type=int, metavar="N", help="draw the N variants that differ most (default: 30; 0: all of them)"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON, and nothing else")
    given = parser.parse_args(arguments)
    try:
        with storage_errors(default_root(given.root)):
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
                as_json=given.json,
                most=given.most,
            )
    except UserError as error:
        print(f"terminator: {error}", file=sys.stderr)
        sys.exit(2)


def report_folder(
    root: Path, ablations: Sequence[str], sweep: Sweep | None = None, datasets: Sequence[str] = ()
) -> Path:
    """ROOT/reports/<the ablations>[-<the data sets>], of a `sweep` with settings of its own ROOT/reports/<sweep>."""
    if sweep is not None and own_settings(sweep):
        return root / "reports" / sweep.id
    names = "+".join(ablations if len(ablations) <= NAMES else [*ablations[:NAMES], f"{len(ablations) - NAMES}-more"])
    return root / "reports" / file_name("-".join([names, *(["+".join(datasets)] if datasets else [])]))


if __name__ == "__main__":
    start(main)
