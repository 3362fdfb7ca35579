"""Results as tidy frames, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from terminator.data.config import DataConfig

# Keys, and the first words of keys, that change no run's result.
NO_RESULT = ("root", "sweep", "tracking", "cluster", "hydra", "ablation", "machine", "data.folder")
USUAL = (f"data={DataConfig().name}",)


def own_settings(command: Sequence[str], base: Sequence[str]) -> tuple[str, ...]:
    """The overrides that results depend on: of `base`, those of all its runs, and the seeds in its `command`."""
    seeds = [word for word in command if _key(word) == "seed"]
    return tuple(word for word in [*base, *seeds] if _changes_results(word) and word not in USUAL)


def is_comparable(settings: Sequence[str]) -> bool:
    """Whether a sweep with these settings still is what its ablation asks: other data or seeds, nothing else."""
    return all(_key(word) in ("data", "seed") for word in settings)


def _changes_results(word: str) -> bool:
    key = _key(word)
    return not any(key == each or key.startswith((f"{each}.", f"{each}/")) for each in NO_RESULT)


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


Words = str | Sequence[str]

RUN_COLUMNS = (
    "ablation", "sweep", "variant", "is_baseline", "twin_of", "seed", "key", "state", "reason", "message",
    "dataset", "model", "commit", "dirty", "code_hash", "attempts", "host", "job", "log_path", "finished",
    "overrides", "factors", "config", "link",
)  # fmt: skip
EPOCH_COLUMNS = ("ablation", "variant", "seed", "key", "dataset", "epoch")


@dataclass(frozen=True)
class Question:
    """An ablation as it was asked: its baseline, its metric, and its variants in the file's order.

    `command`: the words that ran its sweep, and `base`, the overrides that all its runs share; empty where not known.
    `tracking_uri`: where its MLflow is, None for ROOT/mlflow.db.
    """

    name: str
    text: str
    baseline: str
    metric: str
    higher_is_better: bool
    smallest_effect: float
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    sweep: str
    command: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    tracking_uri: str | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """What its sweep was typed with that results depend on."""
        return own_settings(self.command, self.base)

    @property
    def settings_note(self) -> str:
        """The settings as a note under a table; empty without any."""
        return f"Settings of this sweep ({self.sweep}): {' '.join(self.settings)}." if self.settings else ""


@dataclass(frozen=True)
class Results:
    """`runs`: one row a run of an ablation (a run that two ablations share has a row in each), `RUN_COLUMNS` and then
    the final metrics by their names in the ledger, accuracies as fractions. `epochs`: one row a run and epoch,
    `EPOCH_COLUMNS` and then the curves. What is not known is None, or NaN among numbers.
    """

    questions: tuple[Question, ...]
    runs: pd.DataFrame
    epochs: pd.DataFrame
    source: str

    def metrics(self) -> list[str]:
        """The final metrics that some run logged."""
        numbers = [name for name in self.runs.columns if name not in RUN_COLUMNS]
        return [name for name in numbers if self.runs[name].notna().any()]

    def of(self, question: Question) -> pd.DataFrame:
        """The runs of one ablation in one sweep."""
        mine = (self.runs["ablation"] == question.name) & (self.runs["sweep"] == question.sweep)
        rows: pd.DataFrame = self.runs[mine]
        return rows

    def epochs_of(self, question: Question) -> pd.DataFrame:
        """The curves of one ablation in one sweep."""
        keys = self.of(question)["key"]
        rows: pd.DataFrame = self.epochs[(self.epochs["ablation"] == question.name) & self.epochs["key"].isin(keys)]
        return rows

    def only(
        self,
        *,
        variant: Words | None = None,
        dataset: Words | None = None,
        state: Words | None = None,
        commit: Words | None = None,
    ) -> Results:
        """The runs with these values; a commit may be given by its first digits."""
        keep = pd.Series(True, index=self.runs.index)
        for column, wanted in (("variant", variant), ("dataset", dataset), ("state", state)):
            if wanted is not None:
                keep &= self.runs[column].isin(words(wanted))
        if commit is not None:
            keep &= self.runs["commit"].astype("string").str.startswith(tuple(words(commit))).fillna(False).astype(bool)
        runs = self.runs[keep].reset_index(drop=True)
        kept = pd.MultiIndex.from_frame(runs[["ablation", "key"]])
        epochs = self.epochs[pd.MultiIndex.from_frame(self.epochs[["ablation", "key"]]).isin(kept)]
        return replace(self, runs=runs, epochs=epochs.reset_index(drop=True))


def words(value: Words) -> list[str]:
    """One word or several, as a list."""
    return [value] if isinstance(value, str) else list(value)


def frames(rows: list[dict[str, object]], curves: list[dict[str, object]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The two frames, their fixed columns first, also where there are no rows."""
    runs, epochs = pd.DataFrame(rows), pd.DataFrame(curves)
    return _ordered(runs, RUN_COLUMNS), _ordered(epochs, EPOCH_COLUMNS)


def _ordered(frame: pd.DataFrame, first: Sequence[str]) -> pd.DataFrame:
    ordered: pd.DataFrame = frame.reindex(columns=[*first, *(name for name in frame.columns if name not in first)])
    return ordered
