"""One ablation on one data set in numbers: what tables, figures, sentences and claims are made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite, isinf, isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from terminator.analysis.caveats import Change, Kind, caveats, change, drawn
from terminator.analysis.factors import Crossing, at, crossing
from terminator.analysis.images import collapse_note, collapsed, draws_test, noise_of_images
from terminator.analysis.measured import Measured, by_variant, main_effects, measured
from terminator.analysis.metrics import Metric, metric
from terminator.analysis.results import Question, Results
from terminator.analysis.statistics.factorial import Effect, effects
from terminator.analysis.statistics.variance import Spread, spread
from terminator.analysis.statistics.verdict import Comparison, best_and_tied, compare, headline
from terminator.errors import UserError
from terminator.ledger import Interval, Look

LIBRARIES = ("torch", "numpy", "scikit-learn", "datasets", "pyarrow")  # that results can depend on


@dataclass(frozen=True)
class Missing:
    """A planned run without a result, or one that is done and whose metric is no finite number."""

    seed: int
    state: str
    reason: str | None
    message: str | None

    @property
    def why(self) -> str:
        """In short."""
        return (self.reason or self.state).replace("_", " ")


@dataclass(frozen=True)
class VariantSummary:
    """A row: `values` are the metric by seed, in the metric's shown unit; `costs` are the means of all
    that was logged, in the ledger's units.

    `twin_of`: the variant whose size-matched control this is. `best`: the best mean; `tied`: seeds do not tell it from
    the best. `same_code`, `same_libraries`: its runs come from those of the baseline. `comparison` is None for the
    baseline. `caveats`: what must be said wherever its numbers are shown. `drawn`: the sources of randomness that its
    seeds draw; `spread`: how its runs spread, in an ablation that asks about that and has no comparisons.
    `collapsed`: the seeds whose runs do no better than guesses.
    """

    name: str
    twin_of: str | None
    change: Change
    values: Mapping[int, float]
    costs: Mapping[str, float]
    missing: tuple[Missing, ...]
    comparison: Comparison | None
    best: bool = False
    tied: bool = False
    same_code: bool = True
    same_libraries: bool = True
    caveats: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    spread: Spread | None = None
    collapsed: tuple[int, ...] = ()

    @property
    def all_collapsed(self) -> bool:
        """Whether every run with a result does no better than guesses."""
        return bool(self.collapsed) and len(self.collapsed) >= self.n

    @property
    def n(self) -> int:
        """The number of seeds with a result."""
        return len(self.values)

    @property
    def lost(self) -> str:
        """What to show in the place of results that are not there."""
        return f"missing: {self.missing[0].why if self.missing else 'not logged'}"

    @cached_property
    def mean(self) -> float:
        """NaN without a result."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")

    @cached_property
    def std(self) -> float:
        """The sample standard deviation over the seeds; NaN with fewer than two."""
        return float(np.std(list(self.values.values()), ddof=1)) if self.n > 1 else float("nan")


@dataclass(frozen=True)
class Summary:
    """The baseline first, then the variants by their difference, the worst first; size-matched controls follow their
    variants.

    `test_images`: so many the metric was measured on; `test_noise`: the typical standard error of a difference that
    comes of their number, None where they are not known; variants whose runs have all collapsed have no part in it.
    `commits`, `codes`: those of the runs, commits as they are quoted; `libraries`: name → versions, of those that
    results can depend on and the runs had in several. `caveats`: what must be said of the runs. `effects`: of a
    screen, whose variants are not judged, the main effect of each switch as a row in a variant's place, in the scale it
    is judged in; None where no seed has every cell.
    """

    question: Question
    dataset: str
    metric: Metric
    higher_is_better: bool
    smallest_effect: float
    variants: tuple[VariantSummary, ...]
    commits: tuple[str, ...]
    codes: tuple[str, ...]
    libraries: Mapping[str, tuple[str, ...]]
    crossing: Crossing | None
    caveats: tuple[str, ...]
    test_images: int | None = None
    test_noise: float | None = None
    effects: Summary | None = None

    @property
    def name(self) -> str:
        """The ablation's."""
        return self.question.ablation.name

    @property
    def baseline(self) -> VariantSummary:
        """What the others are compared with."""
        return self.variants[0]

    def farthest(self, count: int) -> Summary:
        """With the baseline and the `count` variants that differ most from it alone, in the same order."""
        means = {each.name: each.comparison.pairs.mean if each.comparison else nan for each in self.variants[1:]}
        sizes = {name: abs(mean) if isfinite(mean) else -1.0 for name, mean in means.items()}
        kept = {self.baseline.name, *sorted(sizes, key=lambda name: -sizes[name])[:count]}
        return replace(self, variants=tuple(each for each in self.variants if each.name in kept))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What all tables and figures must say: the sweep's own settings, what was tuned, and the caveats."""
        return (*filter(None, [self.question.settings_note, self.question.tuning_note]), *self.caveats)

    @property
    def is_own_metric(self) -> bool:
        """Whether it is judged by the ablation's own metric, as its looks are."""
        return self.metric.name == self.question.ablation.metric

    @property
    def is_screen(self) -> bool:
        """Whether its variants are cells, of which main effects are judged."""
        return self.question.ablation.is_screen

    @property
    def judged(self) -> tuple[VariantSummary, ...]:
        """The rows that have verdicts."""
        rows = self.variants if not self.is_screen else self.effects.variants if self.effects else ()
        return tuple(each for each in rows if each.comparison is not None)

    @property
    def headline(self) -> str:
        """The table in a sentence; empty where nothing was tested yet. Size-matched controls are not counted."""
        if self.question.ablation.is_of_seeds:
            return self._of_spreads()
        own = [each for each in self.judged if each.twin_of is None]
        compared = {each.name: each.comparison for each in own if each.comparison is not None}
        seeds = max((each.pairs.n for each in compared.values()), default=0)
        if not seeds or (self.question.looks == () and self.is_own_metric):
            return ""
        kinds, margin = {each.change.kind for each in own}, f"{self.smallest_effect:.2g}{self.metric.points_suffix}"
        return headline(
            {name: each.judgement.verdict for name, each in compared.items()},
            {each.name for each in own if each.change.kind is Kind.removal},
            "1 point" if margin == "1 points" else margin,
            seeds,
            "change" if Kind.replacement in kinds else "part",
        )

    def _of_spreads(self) -> str:
        """What is left of the baseline's variance where its seeds draw less; empty where that is not known yet."""
        shares = {
            each.name: each.spread.share for each in self.variants[1:] if each.spread and each.spread.share_interval
        }
        told = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
        std = f"{self.baseline.std:.2g}{self.metric.points_suffix}"
        return f"Of the variance of {self.baseline.name} (std {std}): {told}" if told else ""

    @cached_property
    def intervals(self) -> list[Interval]:
        """The 95 % intervals of the differences."""
        return [each.comparison.interval for each in self.variants if each.comparison and each.comparison.interval]

    def factor_effects(self) -> list[Effect]:
        """Main effects and interactions of the factors that it crosses, in the metric's own unit; none without any.

        Raises UserError where cells are missing, or no seed has every one.
        """
        if (crossed := self.crossing) is None:
            return []
        values = {variant.name: variant.values for variant in self.variants}
        return effects({cell: values[name] for cell, name in crossed.cells.items()}, crossed.factors, crossed.reference)


def summarize(results: Results, question: Question, metric_name: str | None = None) -> Summary:
    """Summarize one of `results.questions`. Raises UserError where the numbers would not belong together."""
    runs, ablation = results.of(question), question.ablation
    groups = by_variant(runs, results, ablation)
    found = measured(results, question, metric_name)
    values, shown, higher_is_better, margin, test_images, resolution = found
    logged = results.metrics()
    is_own = shown == metric(ablation.metric, ablation.higher_is_better)
    looks = question.looks if is_own else None
    compared = compare(
        values[ablation.baseline],
        {} if ablation.is_of_seeds else {name: each for name, each in values.items() if name != ablation.baseline},
        smallest_effect=margin,
        resolution=resolution,
        higher_is_better=higher_is_better,
        looks=() if ablation.is_screen else looks,
    )
    best, tied = best_and_tied(values, {} if ablation.is_screen else compared, higher_is_better=higher_is_better)
    configs = {variant: _dicts(rows["config"]) for variant, rows in groups.items()}
    codes = {variant: set(rows["code_hash"].dropna()) for variant, rows in groups.items()}
    lost = {variant: collapsed(rows) for variant, rows in groups.items()}
    libraries = {variant: _libraries(rows) for variant, rows in groups.items()}
    base, base_codes = next(iter(configs[ablation.baseline]), {}), codes[ablation.baseline]
    summaries = {}
    for variant, rows in groups.items():
        control_of = _text(rows["twin_of"].iloc[0])
        own = next(iter(configs[variant]), {})
        summaries[variant] = VariantSummary(
            name=variant,
            twin_of=control_of,
            change=change(base, own, is_control=control_of is not None, tuned=question.tuned_keys),
            values=values[variant],
            costs=_costs(rows, logged),
            missing=_missing(rows, shown, values[variant], question.looks),
            comparison=_told(compared.get(variant), lost[variant], len(values[variant])),
            best=variant == best,
            tied=variant in tied,
            same_code=not base_codes or (codes[variant] <= base_codes and len(base_codes) == 1),
            same_libraries=not _mixed(libraries[variant] | libraries[ablation.baseline]),
            caveats=caveats({variant: configs[variant]}, of_seeds=ablation.is_of_seeds),
            drawn=tuple(source.value for source in drawn(own)),
            spread=spread(values[variant], values[ablation.baseline]) if ablation.is_of_seeds else None,
            collapsed=lost[variant],
        )
    learned = {variant: rows for variant, rows in groups.items() if not summaries[variant].all_collapsed}
    summary = Summary(
        question=question,
        dataset=_one_dataset(ablation.name, runs),
        metric=shown,
        higher_is_better=higher_is_better,
        smallest_effect=margin,
        variants=tuple(_ordered(summaries, ablation.baseline, higher_is_better)),
        commits=tuple(sorted({_commit(*pair) for pair in zip(runs["commit"], runs["dirty"], strict=True)} - {""})),
        codes=tuple(sorted(set().union(*codes.values()))),
        libraries=_mixed(set().union(*libraries.values())),
        crossing=crossing(runs, ablation.baseline),
        caveats=caveats(configs, of_seeds=ablation.is_of_seeds),
        test_images=test_images,
        test_noise=None if draws_test(configs) else noise_of_images(learned, ablation.baseline, shown, test_images),
    )
    return replace(summary, effects=_effects(summary, found, base, looks)) if ablation.is_screen else summary


def _effects(
    summary: Summary, found: Measured, config: Mapping[str, Any], looks: Sequence[Look] | None
) -> Summary | None:
    """A screen's main effects as rows. `config`: the baseline's; `looks`: those made, as `compare` takes them."""
    crossed, baseline = summary.crossing, summary.baseline
    if crossed is None or baseline.name not in found.values:
        return None
    values, shown, up, margin, _, step = main_effects(found, crossed, baseline.name)
    zero = values[baseline.name]
    others = {name: each for name, each in values.items() if name != baseline.name}
    if not zero:
        return None
    compared = compare(zero, others, smallest_effect=margin, resolution=step, higher_is_better=up, looks=looks)
    off = {key: value for each in summary.question.ablation.variants for key, value in each.overrides.items()}
    keys = dict(zip(crossed.factors, summary.question.ablation.variants[0].factors, strict=True))
    rows = [
        VariantSummary(
            name=name,
            twin_of=None,
            change=change({keys[name]: at(config, keys[name])}, {keys[name]: off[keys[name]]}),
            values=each,
            costs={},
            missing=(),
            comparison=compared[name],
        )
        for name, each in others.items()
    ]
    baseline = replace(baseline, values=zero)
    return replace(summary, metric=shown, smallest_effect=margin, variants=(baseline, *rows))


def _told(comparison: Comparison | None, seeds: Sequence[int], count: int) -> Comparison | None:
    """With what is to be said of the `seeds` of `count` that collapsed: that in place of why all are the same."""
    if comparison is None or not seeds:
        return comparison
    given = "" if comparison.pairs.constant and len(seeds) >= count else comparison.judgement.note
    note = "; ".join(filter(None, [collapse_note(seeds, count), given]))
    return replace(comparison, judgement=replace(comparison.judgement, note=note))


def _libraries(rows: pd.DataFrame) -> set[tuple[str, str]]:
    """Name and version of the libraries that results can depend on, of all these runs."""
    return {(name, each[name]) for each in _dicts(rows["packages"]) for name in LIBRARIES if name in each}


def _mixed(libraries: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """The versions of those that come in several."""
    versions: dict[str, list[str]] = {}
    for name, version in sorted(libraries):
        versions.setdefault(name, []).append(version)
    return {name: tuple(each) for name, each in versions.items() if len(each) > 1}


def _one_dataset(ablation: str, runs: pd.DataFrame) -> str:
    datasets = sorted(set(runs["dataset"].dropna()))
    if len(datasets) > 1:
        raise UserError(
            f"ablation={ablation}: runs of {' and '.join(datasets)} in one table; choose one data set, "
            f"for instance dataset={datasets[0]}"
        )
    return datasets[0] if datasets else "unknown data"


def _costs(rows: pd.DataFrame, logged: list[str]) -> dict[str, float]:
    """NaN where a run logged that."""
    done = rows[rows["state"] == "done"]
    as_nan = {name for names in done["nan"] for name in names}
    means = {name: float(pd.to_numeric(done[name], errors="coerce").mean()) for name in logged}
    return {name: nan if name in as_nan else mean for name, mean in means.items() if name in as_nan or not isnan(mean)}


def _missing(
    rows: pd.DataFrame, shown: Metric, values: Mapping[int, float], looks: Sequence[Look] | None
) -> tuple[Missing, ...]:
    """The runs of which there is no value, those that are done named by what they logged instead.

    Not those of the next look that have not begun.
    """
    found = []
    for row in rows.to_dict("records"):
        seed, state = int(row["seed"]), str(row["state"])
        if state == "pending" and looks and seed not in looks[-1].seeds:
            continue
        if state != "done":
            found.append(Missing(seed, state, _text(row["reason"]), _text(row["message"])))
        elif seed not in values:
            found.append(Missing(seed, state, _no_number(row, shown), None))
    return tuple(found)


def _no_number(row: Mapping[Hashable, Any], shown: Metric) -> str:
    if shown.logged in row["nan"]:
        return f"{shown.title.lower()} is NaN"
    value = row.get(shown.logged)
    return f"{shown.title.lower()} is infinite" if isinstance(value, float) and isinf(value) else "not logged"


def _commit(commit: object, dirty: object) -> str:
    """How a commit is quoted; empty where there is none."""
    if not isinstance(commit, str):
        return ""
    return f"{commit[:10]} with uncommitted changes" if dirty is True else commit[:10]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _dicts(column: Iterable[object]) -> list[dict[str, Any]]:
    """Those of a column's values that are known."""
    return [value for value in column if isinstance(value, dict) and value]


def _ordered(summaries: Mapping[str, VariantSummary], baseline: str, higher_is_better: bool) -> list[VariantSummary]:
    def rank(summary: VariantSummary) -> tuple[bool, float]:
        mean = summary.comparison.pairs.mean if summary.comparison else 0.0
        return bool(np.isnan(mean)), mean if higher_is_better else -mean

    own = [summary for name, summary in summaries.items() if name != baseline and summary.twin_of not in summaries]
    order = [summaries[baseline]]
    for summary in sorted(own, key=rank):
        order.append(summary)
        order += [control for control in summaries.values() if control.twin_of == summary.name]
    return order
