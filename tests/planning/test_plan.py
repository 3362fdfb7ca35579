"""Plans of the files that ship: what is in them, what is shared, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from terminator.config import from_plain
from terminator.data.load import fingerprint
from terminator.errors import UserError
from terminator.ledger import Ledger, provenance
from terminator.model.config import Gate, TerminatorConfig
from terminator.planning.compose import Composer
from terminator.planning.plan import PlannedAblation, plan, plan_choices
from terminator.run_key import code_hash, run_key


def _variant(ablation: PlannedAblation, name: str) -> TerminatorConfig:
    [config] = [each.config.model for each in ablation.variants if each.variant.name == name]
    assert isinstance(config, TerminatorConfig)
    return config


def test_a_variant_is_its_overrides_on_top_of_the_common_ones(composer: Composer) -> None:
    [gating] = plan(composer, ["gating"], ["model.width=2"], None).ablations
    assert _variant(gating, "gate=glu").gate is Gate.glu
    assert {_variant(gating, each.variant.name).width for each in gating.variants} == {2.0}


def test_a_union_runs_the_shared_baseline_once(composer: Composer) -> None:
    sweep = plan(composer, ["branches", "gating"], [], [0, 1]).sweep(provenance(), [])
    branches, gating = sweep.ablations
    assert branches.variants[0].runs == gating.variants[0].runs
    cells = 2 * (len(branches.variants) + len(gating.variants))
    assert len(sweep.keys()) == cells - 2


def test_seeds_are_paired_and_every_run_has_a_key_of_its_own(composer: Composer) -> None:
    [ablation] = plan(composer, ["gating"], [], [3, 5]).sweep(provenance(), []).ablations
    assert all(list(variant.runs) == [3, 5] for variant in ablation.variants)
    keys = [key for variant in ablation.variants for key in variant.runs.values()]
    assert len(set(keys)) == len(keys)


def test_a_plan_writes_nothing_until_it_is_frozen(composer: Composer, tmp_path: Path) -> None:
    planned = plan(composer, ["gating"], ["machine.threads=3"], [0])
    origin = provenance()
    sweep = planned.sweep(origin, ["command"])
    assert not list(tmp_path.iterdir())
    ledger = Ledger(tmp_path)
    planned.freeze(ledger, sweep, origin)
    assert ledger.sweep("gating").id == sweep.id
    assert sorted(run.key for run in ledger.runs()) == sorted(sweep.keys())
    for spec in (run.spec() for run in ledger.runs()):
        config = from_plain(spec.config)
        assert config.machine.threads == 3
        assert (spec.key, spec.code.hash) == (run_key(config), code_hash(config))
        assert spec.data_fingerprint == fingerprint(config.data)


def test_missing_images_are_told_before_anything_is_written(composer: Composer, tmp_path: Path) -> None:
    planned = plan(composer, ["gating"], ["data=cifar10", f"data.folder={tmp_path}/images"], [0])
    with pytest.raises(UserError, match=r"^data.folder=.*images: no train\*.parquet under it; fetch them with "):
        planned.sweep(provenance(), [])
    assert not list(tmp_path.iterdir())


def test_the_same_command_continues_the_same_sweep(composer: Composer) -> None:
    first, second = (plan(composer, ["gating"], [], None).sweep(provenance(), []) for _ in range(2))
    assert first.id == second.id
    assert plan(composer, ["gating"], ["training.epochs=2"], None).sweep(provenance(), []).id != first.id


def test_a_variant_equal_to_the_baseline_is_the_baseline(composer: Composer) -> None:
    chosen = plan_choices(composer, [["model.gate=rgu"], ["model.gate=glu"]], ["model.gate=rgu"], [0])
    [ablation] = chosen.ablations
    assert [each.variant.name for each in ablation.variants] == ["model.gate=rgu", "model.gate=glu"]
    again = plan_choices(composer, [["model.gate=rgu"], ["model.gate=rgu"]], [], [0])
    assert len(again.ablations[0].variants) == 1


def test_twins_come_close_to_the_baselines_budget(composer: Composer) -> None:
    [gating] = plan(composer, ["gating"], ["ablation.match=parameters"], [0]).ablations
    budget = gating.variants[0].cost.parameters
    twins = {each.variant.twin_of: each for each in gating.variants if each.variant.twin_of}
    assert set(twins) == {each.variant.name for each in gating.variants[1:] if not each.variant.twin_of}
    for of, each in twins.items():
        [original] = [other for other in gating.variants if other.variant.name == of]
        assert abs(each.cost.parameters - budget) <= abs(original.cost.parameters - budget)


def test_one_name_in_two_ablations_means_one_thing(
    composer: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = composer.settings

    def with_another_meaning(words: list[str], *, of: str = "") -> object:
        settings = original(words, of=of)
        if "ablation=slow_loss" in words:
            ablation = replace(settings.ablation, variants={"plain": {"model.width": 2}})
            return replace(settings, ablation=ablation)
        return settings

    monkeypatch.setattr(composer, "settings", with_another_meaning)
    with pytest.raises(
        UserError, match="ablation=gating,slow_loss: both have a variant plain, with different overrides"
    ):
        plan(composer, ["gating", "slow_loss"], [], None)
