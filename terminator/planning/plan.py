"""A plan: every variant and seed as a typed configuration, composed, checked and costed before anything runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from terminator.config import RunConfig, to_plain
from terminator.data.load import fingerprint
from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger, Provenance, Sweep, Variant, sweep_id
from terminator.planning.ablation import check_kind, describe, to_words, variants
from terminator.planning.compose import Composer
from terminator.planning.cost import Cost, check, cost, twin
from terminator.run_key import code_hash, run_key
from terminator.settings import AblationConfig, Settings, TrackingConfig
from terminator.tracking import checked_uri


@dataclass(frozen=True)
class PlannedVariant:
    """A variant with its configuration."""

    variant: Variant
    config: RunConfig

    @property
    def cost(self) -> Cost:
        """What its network costs; counted when first asked for."""
        return cost(self.config)


@dataclass(frozen=True)
class PlannedAblation:
    """An ablation in one context (data set, model, …); the baseline is the first variant."""

    name: str
    settings: AblationConfig
    variants: list[PlannedVariant]


@dataclass(frozen=True)
class Plan:
    """What one command means in one context. `base`: the overrides that all its runs have in common."""

    base: list[str]
    ablations: list[PlannedAblation]

    def sweep(self, provenance: Provenance, command: Sequence[str], tracking: TrackingConfig | None = None) -> Sweep:
        """The plan with its run keys, as the ledger keeps it. Writes nothing.

        Raises UserError for no tracking URI, and where the images are not on this machine.
        """
        tracking = tracking or TrackingConfig()
        ablations = [_keyed(ablation) for ablation in self.ablations]
        return Sweep(
            id=sweep_id(ablations),
            created=time.time(),
            command=list(command),
            base=self.base,
            code=provenance.code,
            ablations=ablations,
            tracking_uri=checked_uri(tracking.uri),
            tracked=tracking.enabled,
        )

    def freeze(self, ledger: Ledger, sweep: Sweep, provenance: Provenance) -> None:
        """Write every run's frozen spec, then the sweep. Raises UserError if the root can't be written."""
        for planned, ablation in zip(self.ablations, sweep.ablations, strict=True):
            for each, variant in zip(planned.variants, ablation.variants, strict=True):
                code = replace(provenance.code, hash=code_hash(each.config))
                origin, images = replace(provenance, code=code), fingerprint(each.config.data)
                for seed, key in variant.runs.items():
                    ledger.freeze(key, to_plain(replace(each.config, seed=seed)), origin, images)
        ledger.write_sweep(sweep)


def _keyed(planned: PlannedAblation) -> Ablation:
    settings = planned.settings
    rows = []
    for each in planned.variants:
        runs = {seed: run_key(replace(each.config, seed=seed)) for seed in settings.seeds}
        rows.append(replace(each.variant, runs=runs))
    return Ablation(
        name=planned.name,
        question=settings.question,
        baseline=settings.baseline,
        metric=settings.metric,
        higher_is_better=settings.higher_is_better,
        smallest_effect=settings.smallest_effect,
        seeds=list(settings.seeds),
        variants=rows,
    )


def plan(composer: Composer, names: Sequence[str], base: Sequence[str], seeds: Sequence[int] | None) -> Plan:
    """Compose the ablations `names` on top of `base`. Raises UserError for anything that does not fit."""
    planned = [_plan_ablation(composer, name, base, seeds) for name in names]
    _check_union(planned)
    return Plan(list(base), planned)


def plan_choices(
    composer: Composer, contexts: Sequence[Sequence[str]], base: Sequence[str], seeds: Sequence[int] | None
) -> Plan:
    """Hydra's plain `-m key=a,b`: every combination is a variant, the first of them the baseline."""
    names = [" ".join(words) or "default" for words in contexts]
    found = [
        Variant(name, overrides, dict(overrides))
        for name, words in zip(names, contexts, strict=True)
        for overrides in [dict(word.split("=", 1) for word in words)]
    ]
    settings = composer.settings(base)
    chosen = AblationConfig(baseline=names[0], seeds=list(seeds) if seeds is not None else [settings.seed])
    return Plan(list(base), [PlannedAblation("choices", chosen, _compose(composer, "choices", found, base, chosen))])


def plan_single(settings: Settings, words: Sequence[str]) -> Plan:
    """One run, as a sweep of one variant."""
    config = settings.run_config()
    check(config)
    variant = PlannedVariant(Variant("default"), config)
    single = AblationConfig(baseline="default", seeds=[settings.seed])
    return Plan(list(words), [PlannedAblation("single", single, [variant])])


def _plan_ablation(composer: Composer, name: str, base: Sequence[str], seeds: Sequence[int] | None) -> PlannedAblation:
    chosen = composer.settings([*base, f"ablation={name}"])
    check_kind(name, chosen.ablation, chosen.data)
    settings = chosen.ablation
    if seeds is not None:
        settings = replace(settings, seeds=list(seeds))
    base = [word for word in base if not word.lstrip("+").startswith("ablation.")]
    found = [
        replace(variant, resources=settings.resources.get(variant.name, {})) for variant in variants(settings, name)
    ]
    _check_names(settings, name, found)
    return PlannedAblation(name, settings, _compose(composer, name, found, base, settings))


def _compose(
    composer: Composer, name: str, found: Sequence[Variant], base: Sequence[str], settings: AblationConfig
) -> list[PlannedVariant]:
    """Variants that come to the same configuration as the baseline are the baseline; twins follow their variants."""
    rows: list[PlannedVariant] = []
    for variant in found:
        config = composer.settings(
            [*base, *to_words(variant.overrides)], of=f"ablation={name}, {variant.name}"
        ).run_config()
        if rows and config == rows[0].config:
            rows[0] = replace(rows[0], variant=replace(rows[0].variant, factors=variant.factors))
            continue
        check(config)
        rows.append(PlannedVariant(variant, config))
        if settings.match and len(rows) > 1:
            rows.append(_twin(rows[-1], rows[0].cost, settings))
    return rows


def _twin(of: PlannedVariant, budget: Cost, settings: AblationConfig) -> PlannedVariant:
    assert settings.match is not None
    width, config = twin(of.config, budget, settings.match)
    name = f"{of.variant.name}@{settings.match.value}"
    overrides = {**of.variant.overrides, "model.width": width}
    return PlannedVariant(Variant(name, overrides, twin_of=of.variant.name, resources=of.variant.resources), config)


def _check_names(settings: AblationConfig, name: str, found: Sequence[Variant]) -> None:
    names = [variant.name for variant in found]
    for unknown in settings.resources.keys() - set(names):
        raise UserError(f"ablation={name}: resources.{unknown}: no such variant; choose from {', '.join(names)}")


def _check_union(planned: Sequence[PlannedAblation]) -> None:
    """One name means one thing in one table: the same word for different overrides would mislead."""
    known: dict[str, tuple[str, Variant]] = {}
    for ablation in planned:
        for each in ablation.variants:
            name = each.variant.name
            other, variant = known.setdefault(name, (ablation.name, each.variant))
            if variant.overrides != each.variant.overrides:
                raise UserError(
                    f"ablation={other},{ablation.name}: both have a variant {name}, with different overrides: "
                    f"{describe(variant.overrides)} in {other}, {describe(each.variant.overrides)} in {ablation.name}"
                )
