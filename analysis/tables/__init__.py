"""All tables of a report: add a table's function to `OWN_TABLES`, and every report has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terminator.analysis.summary import Summary
from terminator.analysis.tables.ablation import ablation_table, datasets_table, is_tuned, tuned_table, variance_table
from terminator.analysis.tables.details import costs_table, details_table, effects_table
from terminator.analysis.tables.peers import peers_table
from terminator.analysis.tables.screen import screen_table
from terminator.analysis.tables.table import Table

OWN_TABLES = (screen_table, effects_table, details_table, costs_table)


def labels(summaries: Sequence[Summary]) -> list[str]:
    """A name for each summary that no other has: the ablation's, with the data set where it comes again."""
    names = [summary.name for summary in summaries]
    return [
        name if names.count(name) == 1 else f"{name}-{summary.dataset}"
        for name, summary in zip(names, summaries, strict=True)
    ]


def build_tables(summaries: Sequence[Summary], extra: Sequence[str] = ()) -> list[Table]:
    """For each ablation and data set its table, the effects of the factors that it crosses or screens, its tests and
    costs; then, where there are several, one with the data sets as columns and one with all ablations; published
    results beside ours where there are any. `extra`: further metrics to show."""
    tables = []
    for summary, label in zip(summaries, labels(summaries), strict=True):
        of_seeds = summary.question.ablation.is_of_seeds
        table = variance_table(summary) if of_seeds else ablation_table([summary], extra)
        tables.append(replace(table, label=label, of=label))
        own = (build(summary, label) for build in OWN_TABLES)
        tables += [replace(each, of=label, notes=(*each.notes, *summary.remarks)) for each in own if each is not None]
    groups: dict[str, list[Summary]] = {}
    for summary in summaries:
        groups.setdefault(summary.name, []).append(summary)
    tables += [datasets_table(group) for group in groups.values() if len(group) > 1]
    pairs = [(each, tuned) for tuned in summaries for each in summaries if is_tuned(each, tuned)]
    tables += [tuned_table(*pair) for pair in pairs]
    alike = {(summary.dataset, summary.metric.name) for summary in summaries}
    if len(groups) - len(pairs) > 1 and len(alike) == 1:  # a tuned pair has its own table
        tables.append(replace(ablation_table(summaries, extra), repeats=True))
    peers = peers_table(summaries)
    return tables if peers is None else [*tables, peers]
