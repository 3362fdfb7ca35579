"""Results as tidy frames, wherever they come from, with the ledger's record of what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import isnan
from typing import NamedTuple

import pandas as pd

from terminator.data.config import DataConfig
from terminator.ledger import Ablation, Look, LookPlan, Sweep
from terminator.text import counted, describe

OneOrMany = str | Sequence[str]

RUN_COLUMNS = (
    "ablation", "sweep", "variant", "is_baseline", "twin_of", "seed", "key", "state", "reason", "message",
    "dataset", "model", "commit", "dirty", "code_hash", "packages", "python", "cpu", "attempts",
    "host", "job", "log_path", "finished", "overrides", "factors", "config", "link", "test_correct", "nan",
)  # fmt: skip
PLACE = ("ablation", "variant", "seed", "key", "dataset")  # of an epoch's row
EPOCH_COLUMNS = (*PLACE, "epoch")
ROWS_AT_ONCE = 20_000


class Question(NamedTuple):
    """An ablation, and the sweep that asked it last.

    `looks`: those that the ledger has of it; None where nobody knows: in a ledger older than they are, or in MLflow.
    `plan`: that of the looks, as frozen.
    """

    ablation: Ablation
    sweep: Sweep
    looks: tuple[Look, ...] | None = None
    plan: LookPlan | None = None

    @property
    def settings_note(self) -> str:
        """What the sweep was given that its results depend on, as a note under a table; empty for nothing."""
        settings = own_settings(self.sweep)
        return f"Settings of this sweep ({self.sweep.id}): {' '.join(settings)}." if settings else ""

    @property
    def tuning(self) -> Ablation | None:
        """The tuning in the sweep that chose the variants' settings; None where they were not tuned."""
        return None if self.ablation.tuned_by is None else self.sweep.ablation(self.ablation.tuned_by)

    def title(self, *of: str) -> str:
        """What is asked, or the ablation's name; in brackets what it is `of`, and, with and without tuning, which."""
        names = [each.name for each in self.sweep.ablations]
        after = names[names.index(self.ablation.name) + 1 :][:1] if self.ablation.name in names else []
        is_next = any(each.tuned_by in after for each in self.sweep.ablations)
        which = "tuned" if self.tuning is not None else "not tuned" if is_next else ""
        asked, bracket = self.ablation.question or self.ablation.name, ", ".join(filter(None, [*of, which]))
        return f"{asked} ({bracket})" if bracket else asked

    @property
    def tuned_keys(self) -> tuple[str, ...]:
        """The keys that were chosen for each row on its own."""
        return () if self.tuning is None else tuple(self.tuning.variants[0].factors)

    @property
    def tuning_note(self) -> str:
        """What was tuned, among what and by what, as a note under a table; empty for nothing."""
        if (tuning := self.tuning) is None:
            return ""
        first = tuning.variants[0].candidate_of
        tried = ", ".join(describe(each.factors) for each in tuning.variants if each.candidate_of == first)
        seeds = f"{counted(len(tuning.seeds), 'seed')} that no table uses"
        return f"Tuned: each row has, of {tried}, its own best by the mean {tuning.metric} over {seeds}."


@dataclass(frozen=True)
class Results:
    """`runs`: one row a run of an ablation (a run that two ablations share has a row in each), `RUN_COLUMNS` and then
    the final metrics by their names in the ledger, accuracies as fractions. `epochs`: one row a run and epoch,
    `EPOCH_COLUMNS` and then the curves. What is not known is None, or NaN among numbers; `nan` of `runs` names the
    metrics that a run did log, as NaN.
    """

    questions: tuple[Question, ...]
    runs: pd.DataFrame
    epochs: pd.DataFrame
    source: str

    def metrics(self) -> list[str]:
        """The final metrics that some run logged."""
        numbers = [name for name in self.runs.columns if name not in RUN_COLUMNS]
        as_nan = {name for names in self.runs["nan"] for name in names}
        return [name for name in numbers if name in as_nan or self.runs[name].notna().any()]

    def of(self, question: Question) -> pd.DataFrame:
        """The runs of one ablation in one sweep."""
        ablation, sweep = question.ablation.name, question.sweep.id
        rows: pd.DataFrame = self.runs[(self.runs["ablation"] == ablation) & (self.runs["sweep"] == sweep)]
        return rows

    def epochs_of(self, question: Question) -> pd.DataFrame:
        """The curves of one ablation in one sweep."""
        mine = (self.epochs["ablation"] == question.ablation.name) & self.epochs["key"].isin(self.of(question)["key"])
        rows: pd.DataFrame = self.epochs[mine]
        return rows

    def only(self, *, commit: OneOrMany | None = None, **wanted: OneOrMany | None) -> Results:
        """The runs with these values of `variant`, `dataset`, `state`; a commit may be given by its first digits."""
        keep = pd.Series(True, index=self.runs.index)
        for column, values in wanted.items():
            if values is not None:
                keep &= self.runs[column].isin(as_list(values))
        if commit is not None:
            keep &= self.runs["commit"].astype("string").str.startswith(tuple(as_list(commit))).fillna(False)
        runs = self.runs[keep.astype(bool)].reset_index(drop=True)
        kept = pd.MultiIndex.from_frame(runs[["ablation", "key"]])
        epochs = self.epochs[pd.MultiIndex.from_frame(self.epochs[["ablation", "key"]]).isin(kept)]
        return replace(self, runs=runs, epochs=epochs.reset_index(drop=True))


def own_settings(sweep: Sweep) -> tuple[str, ...]:
    """What a sweep was given that its results depend on: data other than the usual, settings, seeds."""
    return (*(f"data={name}" for name in sweep.data if name != DataConfig().name), *sweep.settings)


def as_list(value: OneOrMany) -> list[str]:
    """One text or several, as a list."""
    return [value] if isinstance(value, str) else list(value)


def frames(
    rows: Sequence[Mapping[str, object]], curves: Iterable[Mapping[str, object]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two frames, their fixed columns first, also where there are no rows."""
    left = iter(curves)
    parts = []  # a row takes ten times the memory before it is in a frame
    while part := list(islice(left, ROWS_AT_ONCE)):
        parts.append(_frame(part, EPOCH_COLUMNS))
    epochs = pd.concat(parts, ignore_index=True) if parts else _frame([], EPOCH_COLUMNS)
    return _frame([{**row, "nan": _logged_as_nan(row)} for row in rows], RUN_COLUMNS), epochs


def _logged_as_nan(row: Mapping[str, object]) -> tuple[str, ...]:
    known = ((name, value) for name, value in row.items() if name not in RUN_COLUMNS)
    return tuple(name for name, value in known if isinstance(value, float) and isnan(value))


def _frame(rows: Sequence[Mapping[str, object]], first: Sequence[str]) -> pd.DataFrame:
    unknown = dict.fromkeys(first)
    frame: pd.DataFrame = pd.DataFrame([{**unknown, **row} for row in rows], columns=None if rows else list(first))
    return frame
