"""A paragraph for the methods section of a paper, made from what the ledger knows of an ablation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Any

import pandas as pd

from terminator.analysis.factors import at
from terminator.analysis.results import Results, own_settings
from terminator.analysis.statistics.verdict import ALPHA
from terminator.analysis.summary import Summary
from terminator.analysis.text import number, significant
from terminator.config import Protocol, Source
from terminator.text import counted

SHOWN_HASH = 10
SOURCES = {
    Source.init.value: "its initial parameters",
    Source.order.value: "the order of its data",
    Source.split.value: "their split",
}
NAMED = 4  # of seeds in a row that are written out, and of machines


def methods(results: Results, summary: Summary) -> str:
    """The data and training, the seeds and looks, the tests and margins, the code and machines, in sentences.

    What is not known, as in an MLflow store of other projects, is left out.
    """
    runs = results.of(summary.question)
    configs = [config for config in runs["config"] if isinstance(config, dict) and config]
    parts = [*_data(summary, configs), *_seeds(summary), *_tests(summary), *_gaps(summary), *_origin(summary, runs)]
    return " ".join(parts)


def _data(summary: Summary, configs: Sequence[dict[str, Any]]) -> Iterator[str]:
    others, screened = len(summary.variants) - 1, summary.crossing if summary.is_screen else None
    parameters = summary.baseline.costs.get("parameters")
    size = f" ({parameters:,.0f} parameters)" if parameters and isfinite(parameters) else ""
    images = f" ({summary.test_images:,} test images)" if summary.test_images else ""
    baseline = f"the baseline {summary.baseline.name}{size}"
    yield f"We compare {counted(others, 'variant')} with {baseline} on {summary.dataset}{images}."
    if screened is not None:
        switches = len(screened.factors)
        yield (
            f"They are {others + 1} of the {2**switches:,} combinations of {switches} parts, each on or off, in which "
            "no main effect is aliased with another or with an interaction of two parts (resolution IV)."
        )
    told = {
        "epochs": _one(at(config, "training.epochs") for config in configs),
        "batch": _one(at(config, "training.batch_size") for config in configs),
        "optimizer": _one(at(config, "optimizer.name") for config in configs),
    }
    how = [f"for {counted(told['epochs'], 'epoch')}"] if isinstance(told["epochs"], int) else []
    how += [f"in batches of {told['batch']}"] if told["batch"] is not None else []
    how += [f"with {told['optimizer']}"] if told["optimizer"] is not None else []
    if how:
        yield f"Each is trained {' '.join(how)}."
    protocols = {str(at(config, "training.protocol")) for config in configs}
    if protocols == {Protocol.holdout.value}:
        yield "The epoch that is tested is chosen on a held-out part of the training data."
    elif Protocol.release.value in protocols:
        yield "The epoch that is reported is chosen on the test data itself, so results are optimistic."
    if settings := own_settings(summary.question.sweep):
        yield f"Settings other than the usual: {' '.join(settings)}."
    if note := summary.question.tuning_note:
        yield note


def _seeds(summary: Summary) -> Iterator[str]:
    seeds = sorted({seed for variant in summary.variants for seed in variant.values})
    if not seeds:
        return
    together = "differences from the baseline are paired by seed"
    if summary.question.ablation.is_of_seeds:
        together = "variances are compared as those of results paired by seed (Pitman and Morgan)"
    yield (
        f"Variants and baseline share their random seeds ({listed(seeds)}); {summary.metric.title.lower()} is given "
        f"as mean ± standard deviation (n − 1) over the seeds, and {together}."
    )
    if len(draw := {variant.drawn for variant in summary.variants}) == 1:
        yield f"The seed of a run draws {' and '.join(SOURCES[source] for source in draw.pop()) or 'nothing'}."


def _tests(summary: Summary) -> Iterator[str]:
    question = summary.question
    if not any(each.comparison and each.comparison.interval for each in summary.judged):
        return
    share = f"{100 * ALPHA:g} %"
    looks = question.looks if summary.is_own_metric else None
    if looks and question.plan is not None:
        planned = ", ".join(map(str, question.plan.seeds))
        made = ", ".join(str(len(look.seeds)) for look in looks)
        yield (
            f"Looks were planned at {planned} seeds and made at {made}; they share an error level of {share} "
            "(union bound), and a variant that is decided gets no more seeds."
        )
    else:
        yield f"Results are tested once, at all seeds, at a level of {share}."
    tested = "Differences are tested by two-sided paired t-tests, corrected over the variants by Holm"
    if summary.effects is not None:
        scale = " of the logits of accuracies" if summary.effects.metric != summary.metric else ""
        tested = (
            f"Main effects are contrasts{scale}, one a seed, tested by two-sided t-tests, corrected over them by Holm"
        )
    margin = f"{number(summary.smallest_effect, 2)}{summary.metric.points_suffix}"
    equivalence = (
        f"; no effect is claimed where two one-sided tests show a difference of less than {margin} (TOST, Holm)"
        if summary.smallest_effect
        else ""
    )
    yield f"{tested}{equivalence}."
    cover = f"{100 * (1 - ALPHA):g} %"
    yield f"Intervals are Student's t, and hold the true value with {cover} over all looks together."
    if summary.test_noise is not None:
        noise = f"{significant(summary.test_noise, 2)}{summary.metric.points_suffix}"
        yield f"They speak of seeds on one fixed test set; its finite size adds a standard error of about {noise}."


def _gaps(summary: Summary) -> Iterator[str]:
    lost = sum(len(variant.missing) for variant in summary.variants)
    if lost:
        yield f"{counted(lost, 'run')} of {lost + sum(variant.n for variant in summary.variants)} gave no result."


def _origin(summary: Summary, runs: pd.DataFrame) -> Iterator[str]:
    versions = {name: _several(_versions(runs["packages"], name)) for name in ("terminator-ablations", "torch")}
    code = f"commit {' and '.join(summary.commits)}" if summary.commits else ""
    code = code or (f"code {summary.codes[0][:SHOWN_HASH]}" if summary.codes else "")
    software = [
        f"the Terminator ablation suite {versions['terminator-ablations']}".rstrip() + (f" ({code})" if code else ""),
        *([f"PyTorch {versions['torch']}"] if versions["torch"] else []),
        *([f"Python {python}"] if (python := _several(runs["python"])) else []),
    ]
    yield f"Software: {', '.join(software)}."
    processors, hosts = _several(runs["cpu"]), sorted(set(runs["host"].dropna()))
    devices = _several(at(config, "machine.device") for config in runs["config"])
    hardware = [
        *([f"{counted(len(hosts), 'machine')} ({', '.join(hosts)})"] if 0 < len(hosts) <= NAMED else []),
        *([counted(len(hosts), "machine")] if len(hosts) > NAMED else []),
        *([f"device={devices}"] if devices else []),
        *([f"planned on {processors}"] if processors else []),
    ]
    if hardware:
        yield f"Hardware: {', '.join(hardware)}."


def _versions(packages: Iterable[object], name: str) -> list[object]:
    return [each.get(name) for each in packages if isinstance(each, dict)]


def _one(values: Iterable[Any]) -> Any:
    """The value that all have; None where they differ."""
    found = list({str(value): value for value in values}.values())
    return found[0] if len(found) == 1 else None


def _several(values: Iterable[object]) -> str:
    return " and ".join(sorted({value for value in values if isinstance(value, str) and value}))


def listed(seeds: Sequence[int]) -> str:
    """`0, 1, 2`, or `0 to 19` of many in a row."""
    if len(seeds) > NAMED and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
