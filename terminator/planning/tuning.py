"""A tuned ablation: the runs that try each candidate setting for each variant, and the table of the chosen ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from terminator.config import Protocol, RunConfig, to_plain
from terminator.errors import UserError
from terminator.ledger import Ablation, Variant
from terminator.planning.ablation import NOT_OF_VARIANTS, AblationConfig
from terminator.text import counted, describe

TUNING, TUNED = "-tuning", "-tuned"  # after the ablation's name
CHOSEN_BY = "validation_accuracy"


def candidates(ablation: Ablation, config: AblationConfig) -> Iterable[Variant]:
    """Each variant with each setting, as a row of its own; without runs.

    Raises UserError where a variant sets a tuned key itself.
    """
    for variant in ablation.variants:
        for setting in config.candidates():
            for key in setting.keys() & variant.overrides.keys():
                raise UserError(f"ablation.tune={key}: {variant.name} of {ablation.name} sets it itself")
            name = f"{variant.name}, {describe(setting)}"
            overrides = {**variant.overrides, **setting}
            yield Variant(name, overrides, setting, candidate_of=variant.name, resources=variant.resources)


def value_at(config: RunConfig, key: str) -> Any:
    """What the configuration holds at a dotted key; None where there is no such key."""
    value: Any = to_plain(config)
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def check_tunable(keys: Iterable[str], config: RunConfig) -> None:
    """Raises UserError for a key that is no number of the configuration, and where tuning would see test images."""
    for key in keys:
        value = value_at(config, key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or key.split(".")[0] in NOT_OF_VARIANTS:
            found = "no such value" if value is None else f"it is {value}"
            raise UserError(f"ablation.tune={key}: must be a number of the configuration, as optimizer.lr is; {found}")
    if config.seed_of.split is None and not config.data.publishes_test:
        raise UserError(
            "ablation.tune: where the seed draws the test split too, tuning runs would see test images of the others; "
            "hold the split (ablation.vary=[init,order])"
        )
    if config.training.protocol is Protocol.release:
        raise UserError(
            "ablation.tune: training.protocol=release chooses by test images, on which the table is judged; "
            "use training.protocol=holdout"
        )


def tuning_record(ablation: Ablation, config: AblationConfig) -> Ablation:
    """The record of the runs to choose by, without its rows."""
    return replace(
        ablation,
        name=f"{ablation.name}{TUNING}",
        question=f"Which setting is best for each variant of {ablation.name}?",
        baseline=f"{ablation.baseline}, {describe(config.candidates()[0])}",
        metric=CHOSEN_BY,
        higher_is_better=True,
        seeds=list(config.tune_seeds),
        variants=[],
        match=None,
        looks=None,
    )


def tuned_record(ablation: Ablation, tuning: Ablation) -> Ablation:
    """The record of the table of the chosen settings. Its id is `ablation_id` of every run that it is chosen by."""
    return replace(
        ablation,
        name=f"{ablation.name}{TUNED}",
        variants=[replace(variant, runs={}) for variant in ablation.variants],
        tuned_by=tuning.name,
    )


def describe_tuning(tuning: Ablation) -> str:
    """What is tuned, among what, and how many runs that takes, in a sentence."""
    first = [each for each in tuning.variants if each.candidate_of == tuning.variants[0].candidate_of]
    *settings, last = [describe(each.factors) for each in first]
    rows, runs = len(tuning.variants) // len(first), sum(len(each.runs) for each in tuning.variants)
    return (
        f"Tuning: for each of {counted(rows, 'row')} the best of {', '.join(settings)} and {last}, by its "
        f"mean {CHOSEN_BY} at {counted(len(tuning.seeds), 'seed')} ({', '.join(map(str, tuning.seeds))}): "
        f"{counted(runs, 'run')}. "
        f"{tuning.name.removesuffix(TUNING)}{TUNED} then compares the rows with these, at the seeds of the table."
    )
