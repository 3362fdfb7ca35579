"""A plan: every variant and seed as a typed configuration, composed, checked and costed before anything runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from terminator.cluster.profile import ClusterProfile
from terminator.config import RunConfig, SourceSeeds, to_plain
from terminator.data.load import fingerprint
from terminator.errors import UserError
from terminator.ledger import Ablation, Ledger, Provenance, Sweep, Variant, ablation_id, sweep_id
from terminator.notify import checked_file
from terminator.planning.ablation import HIGHER_IS_BETTER, AblationConfig, Match, check_kind, variants
from terminator.planning.compose import CommandLine, Composer
from terminator.planning.cost import check, cost, size_matched
from terminator.planning.settings import Settings, SweepConfig, TrackingConfig
from terminator.planning.tuning import candidates, check_tunable, tuned_record, tuning_record, value_at
from terminator.run_key import code_hash, run_key
from terminator.text import describe, override_value, to_overrides
from terminator.tracking import checked_uri


@dataclass(frozen=True)
class Plan:
    """What one command means in one context: the sweep as the ledger keeps it, and each run's configuration by key.

    `merged`: by ablation, the variants without a row of their own, as they have the baseline's very configuration.
    """

    sweep: Sweep
    configs: Mapping[str, RunConfig]
    merged: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def config(self, variant: Variant) -> RunConfig:
        """The configuration of the variant's first seed."""
        return self.configs[next(iter(variant.runs.values()))]

    def freeze(self, ledger: Ledger, provenance: Provenance) -> Sweep:
        """Write every run's frozen spec, the plans of looks, then the sweep. Returns the sweep, with the runs it had.

        Raises UserError if the root can't be written.
        """
        for key, config in self.configs.items():
            own = replace(provenance, code=replace(provenance.code, hash=code_hash(config)))
            ledger.freeze(key, to_plain(config), own, fingerprint(config.data))
        for ablation in self.sweep.ablations:
            if ablation.is_judged:
                ledger.looks(ablation).freeze(ablation.plan)
        return ledger.write_sweep(self.sweep)


class Planner:
    """Plans what one command asks for. `command`: as it was typed; `settings`: what it sets outside of the runs.

    Every method raises UserError for what does not fit, and where a run's images are not on this machine.
    """

    def __init__(
        self, composer: Composer, provenance: Provenance, command: Sequence[str] = (), settings: Settings | None = None
    ) -> None:
        """Raises UserError for a tracking URI that is none, and for a file of which no message could be sent."""
        tracking = settings.tracking if settings else TrackingConfig()
        self._composer = composer
        self._provenance = provenance
        self._command = list(command)
        self._tracked, self._tracking_uri = tracking.enabled, checked_uri(tracking.uri)
        self._limits = settings.sweep if settings else SweepConfig()
        self._notify = checked_file(settings.notify) if settings else None
        self._configs: dict[str, RunConfig] = {}
        self._merged: dict[str, list[str]] = {}

    def plans(self, line: CommandLine) -> list[Plan]:
        """Ablations are planned once for each combination of the other choices; without any, these are compared, on
        each data set by itself."""
        if not line.ablations:
            compared: dict[tuple[str, ...], list[list[str]]] = {}
            for context in line.contexts():
                data = tuple(each for each in context if each.startswith("data="))
                compared.setdefault(data, []).append([each for each in context if each not in data])
            return [self.choices(each, [*line.base, *data], line.seeds) for data, each in compared.items()]
        return [self.ablations(line.ablations, [*line.base, *chosen], line.seeds) for chosen in line.contexts()]

    def ablations(self, names: Sequence[str], base: Sequence[str], seeds: Sequence[int] | None) -> Plan:
        """The ablations `names` on top of the overrides `base`."""
        found = [each for name in names for each in self._ablation(name, base, seeds)]
        _check_union(found)
        return self._plan(base, found)

    def choices(self, contexts: Sequence[Sequence[str]], base: Sequence[str], seeds: Sequence[int] | None) -> Plan:
        """Hydra's plain `-m key=a,b`: every combination is a variant, the first of them the baseline."""
        found = []
        for context in contexts:
            plain = [each.replace("\\:", ":") for each in context]  # which Hydra escapes without need
            overrides = dict(each.split("=", 1) for each in plain)
            found.append(Variant(" ".join(plain) or "default", overrides, dict(overrides)))
        default = [self._composer.settings([*base, *contexts[0]]).seed] if seeds is None else list(seeds)
        config = AblationConfig(baseline=found[0].name, seeds=default)
        return self._plan(base, [self._compose("choices", config, found, base)], contexts[0])

    def single(self, config: RunConfig, base: Sequence[str]) -> Plan:
        """One run, as a sweep of one variant."""
        check(config)
        record = _record("single", AblationConfig(baseline="default", seeds=[config.seed]))
        return self._plan(base, [self._complete(record, [self._keyed(Variant("default"), config, record)])])

    def _ablation(self, name: str, base: Sequence[str], seeds: Sequence[int] | None) -> list[Ablation]:
        """The ablation; where it is tuned, then its tuning, and the ablation of what that chooses."""
        chosen = self._composer.settings([*base, f"ablation={name}"])
        config = chosen.ablation if seeds is None else replace(chosen.ablation, seeds=list(seeds))
        check_kind(name, config, chosen.run_config().data)
        for key, off in config.screen.items():
            if value_at(chosen.run_config(), key) == off:
                rule = "is what the baseline has, so there is nothing to switch off; leave it out"
                raise UserError(f"ablation={name}: ablation.screen.{key}={override_value(off)}: {rule}")
        found = variants(config, name)
        names = [variant.name for variant in found]
        for unknown in config.resources.keys() - set(names):
            raise UserError(f"ablation={name}: resources.{unknown}: no such variant; choose from {', '.join(names)}")
        for variant, resources in config.resources.items():
            ClusterProfile().with_resources(resources, variant)
        held = _seed_settings(name, config, chosen.seed_of, found)
        found = [
            replace(each, overrides={**held, **each.overrides}, resources=config.resources.get(each.name, {}))
            for each in found
        ]
        plain = self._compose(name, config, found, _of_runs(base))
        if len(plain.variants) == 1:
            alike, same = ", ".join(self._merged[name]), f"the same configuration as the baseline {plain.baseline}"
            raise UserError(f"ablation={name}: nothing to compare; {alike}: {same}")
        return [plain, *self._tuned(plain, config, _of_runs(base))] if config.candidates() else [plain]

    def _tuned(self, plain: Ablation, config: AblationConfig, base: Sequence[str]) -> list[Ablation]:
        held = to_overrides(config.held_seeds())
        check_tunable(config.candidates()[0], self._composer.settings([*base, *held]).run_config())
        record, rows = tuning_record(plain, config), []
        for candidate in candidates(plain, config):
            overrides = [*base, *to_overrides(candidate.overrides)]
            own = self._composer.settings(overrides, of=f"ablation={plain.name}, {candidate.name}").run_config()
            check(own)
            rows.append(self._keyed(candidate, own, record))
        tuning = self._complete(record, rows)
        tuned = tuned_record(plain, tuning)
        keys = {f"{row.name}/{seed}": key for row in rows for seed, key in row.runs.items()}
        return [tuning, replace(tuned, id=ablation_id(tuned, keys))]

    def _compose(self, name: str, config: AblationConfig, found: Sequence[Variant], base: Sequence[str]) -> Ablation:
        """Variants with the baseline's very configuration are the baseline; controls follow their variants."""
        record = _record(name, config)
        first: RunConfig | None = None
        merged = self._merged[name] = []
        rows: list[Variant] = []
        for variant in found:
            overrides = [*base, *to_overrides(variant.overrides)]
            own = self._composer.settings(overrides, of=f"ablation={name}, {variant.name}").run_config()
            if own == first:
                rows[0] = replace(rows[0], factors=variant.factors)
                merged.append(variant.name)
                continue
            check(own)
            rows.append(self._keyed(variant, own, record))
            if first is None:
                first = own
            elif config.match:
                rows.append(self._control(variant, own, first, config.match, record))
        return self._complete(record, rows)

    def _control(
        self, variant: Variant, config: RunConfig, baseline: RunConfig, match: Match, record: Ablation
    ) -> Variant:
        width, matched = size_matched(config, cost(baseline), match)
        overrides = {**variant.overrides, "model.width": width}
        name = f"{variant.name}@{match.value}"
        control = Variant(name, overrides, twin_of=variant.name, resources=variant.resources)
        return self._keyed(control, matched, record)

    def _keyed(self, variant: Variant, config: RunConfig, record: Ablation) -> Variant:
        """The variant with the keys of its runs, one a seed."""
        runs = {}
        for seed in record.seeds:
            seeded = replace(config, seed=seed)
            runs[seed] = run_key(seeded)
            self._configs.setdefault(runs[seed], seeded)
        return replace(variant, runs=runs)

    def _complete(self, record: Ablation, rows: Sequence[Variant]) -> Ablation:
        """The record with its variants, and the id that they come to."""
        first = {row.name: self._configs[next(iter(row.runs.values()))] for row in rows}
        keys = {name: run_key(replace(config, seed=0)) for name, config in first.items()}
        return replace(record, variants=rows, id=ablation_id(record, keys))

    def _plan(self, base: Sequence[str], found: Sequence[Ablation], context: Sequence[str] = ()) -> Plan:
        keys = [key for ablation in found for variant in ablation.variants for key in variant.runs.values()]
        configs = {key: self._configs[key] for key in keys}
        now, minutes = time.time(), self._limits.budget_min
        sweep = Sweep(
            id=sweep_id(found),
            created=now,
            command=self._command,
            base=list(base),
            code=self._provenance.code,
            ablations=list(found),
            tracking_uri=self._tracking_uri,
            tracked=self._tracked,
            settings=tuple(own_settings(self._composer, base, context)),
            data=tuple(dict.fromkeys(config.data.name for config in configs.values())),
            most_looks=self._limits.looks,
            notify=self._notify,
            until=None if minutes is None else now + 60 * minutes,
        )
        return Plan(sweep, configs, {each.name: self._merged.get(each.name, []) for each in found})


def own_settings(composer: Composer, base: Sequence[str], context: Sequence[str] = ()) -> list[str]:
    """The overrides of `base` that change a run's key, as its typed configuration has it, but for the choice of data.

    An override counts if the composition without it comes to another key, or to none. `context`: further overrides,
    without which `base` may not compose.
    """
    kept = _of_runs(base)
    whole = to_plain(composer.settings([*kept, *context]).run_config(), key_only=True)
    for override in list(kept):
        if override.partition("=")[0] == "data":
            continue
        others = [other for other in kept if other is not override]
        try:
            if to_plain(composer.settings([*others, *context]).run_config(), key_only=True) == whole:
                kept = others
        except UserError:  # the others need this one
            continue
    return [override for override in kept if override.partition("=")[0] != "data"]


def _seed_settings(
    name: str, config: AblationConfig, seeds: SourceSeeds, found: Sequence[Variant]
) -> dict[str, int | None]:
    """The settings that ablation.vary asks for, but for the usual ones. Raises UserError where others are given."""
    others = [
        f"{row.name} of {name} sets {key}" for row in found for key in row.overrides if key.startswith("seed_of.")
    ]
    others += ["seed_of is given too"] if seeds != SourceSeeds() else []
    if config.vary is not None and others:
        named = ",".join(source.value for source in config.vary)
        raise UserError(f"ablation.vary=[{named}]: says what the seeds of all variants draw, but {others[0]}")
    usual = to_plain(SourceSeeds())
    return {key: value for key, value in config.held_seeds().items() if value != usual[key.partition(".")[2]]}


def _of_runs(base: Sequence[str]) -> list[str]:
    """The overrides that do not speak of the ablation."""
    return [override for override in base if not override.lstrip("+~").startswith("ablation.")]


def _record(name: str, config: AblationConfig) -> Ablation:
    return Ablation(
        name=name,
        question=config.question,
        baseline=config.baseline,
        metric=config.metric,
        higher_is_better=config.metric in HIGHER_IS_BETTER,
        smallest_effect=config.smallest_effect,
        seeds=list(range(config.looks[0])) if config.fixed_seeds is None else config.fixed_seeds,
        variants=[],
        match=config.match.value if config.match else None,
        looks=config.look_plan() if config.fixed_seeds is None else None,
    )


def _check_union(found: Sequence[Ablation]) -> None:
    """A name means one thing in one table: the same for different overrides would mislead."""
    known: dict[str, tuple[str, Variant]] = {}
    for ablation in found:
        for variant in ablation.variants:
            other, before = known.setdefault(variant.name, (ablation.name, variant))
            if before.overrides != variant.overrides:
                raise UserError(
                    f"ablation={other},{ablation.name}: both have a variant {variant.name}, with different overrides: "
                    f"{describe(before.overrides)} in {other}, {describe(variant.overrides)} in {ablation.name}"
                )
