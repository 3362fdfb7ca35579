"""One ablation on one data set in numbers: what tables, figures, sentences and claims are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from terminator.analysis.caveats import Change, caveats, change
from terminator.analysis.metrics import Metric, check_logged, metric
from terminator.analysis.results import Question, Results
from terminator.analysis.statistics.factorial import Cell
from terminator.analysis.statistics.tests import pair, t_interval
from terminator.analysis.statistics.verdict import Comparison, compare
from terminator.errors import UserError


@dataclass(frozen=True)
class Missing:
    """A planned run without a result."""

    seed: int
    state: str
    reason: str | None
    message: str | None

    @property
    def why(self) -> str:
        """In a word or two."""
        return (self.reason or self.state).replace("_", " ")


@dataclass(frozen=True)
class VariantSummary:
    """A row: `values` are the metric by seed, in the metric's shown unit; `costs` are the means of all
    that was logged, in the ledger's units.

    `best`: the best mean; `tied`: seeds do not tell it from the best. `same_code`: its runs come from the baseline's
    code. `comparison` is None for the baseline. `caveats`: what must be said wherever its numbers are shown.
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
    caveats: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """The number of seeds with a result."""
        return len(self.values)

    @property
    def lost(self) -> str:
        """What to show in the place of results that are not there."""
        return f"missing: {self.missing[0].why if self.missing else 'not logged'}"

    @property
    def mean(self) -> float:
        """NaN without a result."""
        return float(np.mean(list(self.values.values()))) if self.values else float("nan")

    @property
    def std(self) -> float:
        """The sample standard deviation over the seeds; NaN with fewer than two."""
        return float(np.std(list(self.values.values()), ddof=1)) if self.n > 1 else float("nan")


@dataclass(frozen=True)
class Summary:
    """The baseline first, then the variants by their difference, the worst first; twins follow their variants.

    `commits`, `codes`: those of the runs, commits as they are quoted; `caveats`: what must be said of the runs.
    """

    question: Question
    dataset: str
    metric: Metric
    higher_is_better: bool
    smallest_effect: float
    variants: tuple[VariantSummary, ...]
    commits: tuple[str, ...]
    codes: tuple[str, ...]
    crossing: Crossing | None
    caveats: tuple[str, ...]

    @property
    def baseline(self) -> VariantSummary:
        """What the others are compared with."""
        return self.variants[0]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What all tables and figures must say: the sweep's own settings, and the caveats."""
        return (*filter(None, [self.question.settings_note]), *self.caveats)

    def half_widths(self) -> list[float]:
        """How uncertain the differences are: half of each 95 % interval."""
        intervals = [variant.comparison.interval for variant in self.variants if variant.comparison is not None]
        return [(interval.high - interval.low) / 2 for interval in intervals if interval is not None]


def summarize(results: Results, question: Question, metric_name: str | None = None) -> Summary:
    """Summarize one of `results.questions`. Raises UserError where the numbers would not belong together."""
    runs = results.of(question)
    if runs.empty:
        raise UserError(f"ablation={question.name}: no runs in {results.source}, or none that the filters leave")
    name = metric_name or question.metric
    check_logged(results, name)
    shown = metric(name, question.higher_is_better)
    higher_is_better = question.higher_is_better if name == question.metric else shown.higher_is_better
    margin = question.smallest_effect * shown.scale if _same_unit(shown, metric(question.metric)) else 0.0
    logged = results.metrics()
    groups = {str(variant): rows for variant, rows in runs.groupby("variant", sort=False)}
    if question.baseline not in groups:
        raise UserError(f"ablation={question.name}: no run of its baseline {question.baseline} to compare with")
    values = {variant: _values(rows, shown) for variant, rows in groups.items()}
    others = {variant: each for variant, each in values.items() if variant != question.baseline}
    compared = compare(values[question.baseline], others, smallest_effect=margin, higher_is_better=higher_is_better)
    best, tied = _best(values, higher_is_better)
    baseline_rows = groups[question.baseline]
    codes = set(baseline_rows["code_hash"].dropna())
    summaries = {
        variant: VariantSummary(
            name=variant,
            twin_of=_twin_of(rows),
            change=change(_config(baseline_rows), _config(rows), is_twin=_twin_of(rows) is not None),
            values=values[variant],
            costs=_costs(rows, logged),
            missing=_missing(rows),
            comparison=compared.get(variant),
            best=variant == best,
            tied=variant in tied,
            same_code=not codes or (set(rows["code_hash"].dropna()) <= codes and len(codes) == 1),
            caveats=caveats({variant: _configs(rows)}),
        )
        for variant, rows in groups.items()
    }
    return Summary(
        question=question,
        dataset=_one_dataset(question, runs),
        metric=shown,
        higher_is_better=higher_is_better,
        smallest_effect=margin,
        variants=tuple(_ordered(summaries, question.baseline, higher_is_better)),
        commits=tuple(sorted({_commit(*pair) for pair in zip(runs["commit"], runs["dirty"], strict=True)} - {""})),
        codes=tuple(sorted(set(runs["code_hash"].dropna()))),
        crossing=crossing(runs, question.baseline),
        caveats=caveats({variant: _configs(rows) for variant, rows in groups.items()}),
    )


def _same_unit(one: Metric, other: Metric) -> bool:
    return one == other or (one.is_fraction and other.is_fraction)


def _one_dataset(question: Question, runs: pd.DataFrame) -> str:
    datasets = sorted(set(runs["dataset"].dropna()))
    if len(datasets) > 1:
        raise UserError(
            f"ablation={question.name}: runs of {' and '.join(datasets)} in one table; choose one data set, "
            f"for instance dataset={datasets[0]}"
        )
    return datasets[0] if datasets else "unknown data"


def _values(rows: pd.DataFrame, shown: Metric) -> dict[int, float]:
    """Seed → metric of the runs that came to a finite number. Raises UserError if two runs claim one seed."""
    column = shown.complement or shown.name
    if column not in rows:
        return {}
    done = rows[(rows["state"] == "done") & np.isfinite(pd.to_numeric(rows[column], errors="coerce"))]
    twice = done[done["seed"].duplicated(keep=False)]
    if not twice.empty:
        first, keys = twice.iloc[0], ", ".join(twice["key"].astype(str))
        raise UserError(f"variant={first['variant']}: several results for one seed, {first['seed']}: runs {keys}")
    logged = {int(seed): float(value) for seed, value in zip(done["seed"], done[column], strict=True)}
    return {seed: shown.scale * (1 - value if shown.complement else value) for seed, value in logged.items()}


def _best(values: Mapping[str, Mapping[int, float]], higher_is_better: bool) -> tuple[str | None, set[str]]:
    """The variant with the best mean, and those whose interval to it, paired by seed, holds zero."""
    means = {name: float(np.mean(list(each.values()))) for name, each in values.items() if each}
    if len(means) < 2:
        return None, set()
    best = max(means, key=lambda name: means[name] if higher_is_better else -means[name])
    return best, {name for name in means if name != best and _is_tied(values[name], values[best])}


def _is_tied(values: Mapping[int, float], best: Mapping[int, float]) -> bool:
    pairs = pair(values, best)
    interval = t_interval(pairs)
    return interval.contains(0.0) if interval is not None else pairs.constant and pairs.n > 1 and pairs.mean == 0


def _costs(rows: pd.DataFrame, logged: list[str]) -> dict[str, float]:
    done = rows[rows["state"] == "done"]
    means = {name: pd.to_numeric(done[name], errors="coerce").mean() for name in logged}
    return {name: float(mean) for name, mean in means.items() if not np.isnan(mean)}


def _missing(rows: pd.DataFrame) -> tuple[Missing, ...]:
    lost = rows[rows["state"] != "done"]
    return tuple(
        Missing(int(row.seed), str(row.state), _word(row.reason), _word(row.message))
        for row in lost[["seed", "state", "reason", "message"]].itertuples(index=False)
    )


def _commit(commit: object, dirty: object) -> str:
    """How a commit is quoted; empty where there is none."""
    if not isinstance(commit, str):
        return ""
    return f"{commit[:10]} with uncommitted changes" if dirty is True else commit[:10]


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _twin_of(rows: pd.DataFrame) -> str | None:
    return _word(rows["twin_of"].iloc[0])


def _config(rows: pd.DataFrame) -> Mapping[str, object]:
    return next(iter(_configs(rows)), {})


def _configs(rows: pd.DataFrame) -> list[dict[str, object]]:
    return [config for config in rows["config"] if isinstance(config, dict) and config]


def _ordered(summaries: Mapping[str, VariantSummary], baseline: str, higher_is_better: bool) -> list[VariantSummary]:
    def rank(summary: VariantSummary) -> tuple[bool, float]:
        mean = summary.comparison.pairs.mean if summary.comparison else 0.0
        return bool(np.isnan(mean)), mean if higher_is_better else -mean

    own = [summary for name, summary in summaries.items() if name != baseline and summary.twin_of not in summaries]
    order = [summaries[baseline]]
    for summary in sorted(own, key=rank):
        order.append(summary)
        order += [twin for twin in summaries.values() if twin.twin_of == summary.name]
    return order


@dataclass(frozen=True)
class Axis:
    """`values`: each variant's name, the baseline's too → its value of the configuration's `key`."""

    key: str
    values: Mapping[str, float]


def numeric_axis(runs: pd.DataFrame, baseline: str) -> Axis | None:
    """The one number that tells an ablation's variants, twins apart, from each other; None where it is not so."""
    own = runs[runs["twin_of"].isna()]
    keys = {tuple(given or {}) for given in own.loc[own["variant"] != baseline, "factors"]}
    if len(keys) != 1 or len(key := keys.pop()) != 1:
        return None
    values = {str(name): _number(config, key[0]) for name, config in zip(own["variant"], own["config"], strict=True)}
    if any(value is None for value in values.values()):
        return None
    return Axis(key[0], {name: value for name, value in values.items() if value is not None})


def _number(config: object, key: str) -> float | None:
    value = _at(config, key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _at(config: object, key: str) -> object:
    """What stands at a dotted key; None where there is none."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


@dataclass(frozen=True)
class Crossing:
    """`cells`: the levels of `factors`, in their order → the variant's name. `reference`: the cell whose levels effects
    are changes from."""

    factors: tuple[str, ...]
    cells: Mapping[Cell, str]
    reference: Cell


def crossing(runs: pd.DataFrame, baseline: str) -> Crossing | None:
    """The crossing of the variants, twins apart, that have several factors, all of them the same; None without any.

    It need not hold the baseline: where that has a level that was not crossed, the reference is the first level.
    """
    own = runs[runs["twin_of"].isna()]
    given = {str(name): dict(levels or {}) for name, levels in zip(own["variant"], own["factors"], strict=True)}
    crossed = {name: levels for name, levels in given.items() if len(levels) > 1}
    axes = next(map(tuple, crossed.values()), ())
    if not axes or any(set(levels) != set(axes) for levels in crossed.values()):
        return None
    cells = {tuple(_level(levels[axis]) for axis in axes): name for name, levels in crossed.items()}
    along = [list(dict.fromkeys(levels)) for levels in zip(*cells, strict=True)]
    if all(len(levels) == len(cells) for levels in along):  # no level comes twice: side by side, not crossed
        return None
    config = next(iter(own.loc[own["variant"] == baseline, "config"]), None)
    usual = [_level(given.get(baseline, {}).get(axis, _at(config, axis))) for axis in axes]
    reference = tuple(each if each in levels else levels[0] for each, levels in zip(usual, along, strict=True))
    return Crossing(tuple(axis.rpartition(".")[2] for axis in axes), cells, reference)


def _level(level: object) -> str:
    """A level as it is typed in YAML."""
    return str(level).lower() if isinstance(level, bool) else str(level)
