"""Plans of the files that ship: what is in them, what is shared, what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from terminator.config import SourceSeeds, from_plain
from terminator.data.load import fingerprint
from terminator.errors import UserError
from terminator.ledger import Ledger, LookPlan, provenance
from terminator.model.config import Gate, TerminatorConfig
from terminator.planning.compose import CommandLine, Composer
from terminator.planning.cost import cost
from terminator.planning.plan import Plan, Planner, own_settings
from terminator.planning.settings import Settings
from terminator.run_key import code_hash, run_key


def _models(plan: Plan) -> dict[str, TerminatorConfig]:
    [ablation] = plan.sweep.ablations
    models = {variant.name: plan.config(variant).model for variant in ablation.variants}
    return {name: model for name, model in models.items() if isinstance(model, TerminatorConfig)}


def test_a_variant_is_its_overrides_on_top_of_the_common_ones(plan: Callable[..., Plan]) -> None:
    models = _models(plan("gating", "model.width=2"))
    assert models["gate=glu"].gate is Gate.glu
    assert {model.width for model in models.values()} == {2.0}


def test_a_union_runs_the_shared_baseline_once(planner: Planner) -> None:
    sweep = planner.ablations(["branches", "gating"], [], [0, 1]).sweep
    branches, gating = sweep.ablations
    assert branches.variants[0].runs == gating.variants[0].runs
    cells = 2 * (len(branches.variants) + len(gating.variants))
    assert len(sweep.keys()) == cells - 2


def test_seeds_are_paired_and_every_run_has_a_key_of_its_own(planner: Planner) -> None:
    planned = planner.ablations(["gating"], [], [3, 5])
    [ablation] = planned.sweep.ablations
    assert all(list(variant.runs) == [3, 5] for variant in ablation.variants)
    keys = [key for variant in ablation.variants for key in variant.runs.values()]
    assert len(set(keys)) == len(keys)
    assert [planned.configs[key].seed for key in keys] == [3, 5] * len(ablation.variants)


def test_a_plan_writes_nothing_until_it_is_frozen(plan: Callable[..., Plan], tmp_path: Path) -> None:
    planned = plan("gating", "machine.threads=3")
    assert not list(tmp_path.iterdir())
    ledger = Ledger(tmp_path)
    planned.freeze(ledger, provenance())
    assert ledger.sweep("gating") == planned.sweep
    assert sorted(run.key for run in ledger.runs()) == sorted(planned.sweep.keys())
    for spec in (run.spec() for run in ledger.runs()):
        config = from_plain(spec.config)
        assert config.machine.threads == 3
        assert (spec.key, spec.code.hash) == (run_key(config), code_hash(config))
        assert spec.data_fingerprint == fingerprint(config.data)


def test_missing_images_are_told_at_planning(planner: Planner, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data.folder=.*images: no train\*.parquet under it; fetch them with "):
        planner.ablations(["gating"], ["data=cifar10", f"data.folder={tmp_path}/images"], [0])


def test_the_same_command_continues_the_same_sweep(plan: Callable[..., Plan]) -> None:
    first, second = plan("gating"), plan("gating")
    assert first.sweep.id == second.sweep.id
    assert plan("gating", "training.epochs=2").sweep.id != first.sweep.id


def test_a_variant_equal_to_the_baseline_is_the_baseline(planner: Planner) -> None:
    [ablation] = planner.choices([["model.gate=rgu"], ["model.gate=glu"]], ["model.gate=rgu"], [0]).sweep.ablations
    assert [variant.name for variant in ablation.variants] == ["model.gate=rgu", "model.gate=glu"]
    [again] = planner.choices([["model.gate=rgu"], ["model.gate=rgu"]], [], [0]).sweep.ablations
    assert len(again.variants) == 1


def test_choices_are_compared_on_each_data_set_by_itself(planner: Planner) -> None:
    line = CommandLine([], [0], [], {"model.gate": ["rgu", "glu"], "data": ["digits", "sdigits"]})
    sweeps = [plan.sweep for plan in planner.plans(line)]
    assert [(sweep.data, sweep.base) for sweep in sweeps] == [
        ((name,), [f"data={name}"]) for name in ("digits", "sdigits")
    ]
    names = [[variant.name for variant in sweep.ablations[0].variants] for sweep in sweeps]
    assert names == [["model.gate=rgu", "model.gate=glu"]] * 2


def test_choices_may_hold_what_every_run_needs(planner: Planner) -> None:
    """As `-m model=custom model.target=nets:Linear,nets:Mlp`, where model=custom alone is no configuration."""
    contexts = [[rf"model.target=torch.nn\:{name}"] for name in ("Identity", "Flatten")]
    with pytest.raises(UserError, match="must be module:name"):
        planner.choices([[]], ["model=custom"], None)
    with pytest.raises(UserError, match="Identity: has no parameters to train"):
        planner.choices(contexts, ["model=custom"], None)


def test_size_matched_controls_come_close_to_the_baselines_budget(plan: Callable[..., Plan]) -> None:
    planned = plan("gating", "ablation.match=parameters", "model.depth=2")
    [ablation] = planned.sweep.ablations
    assert ablation.match == "parameters"
    sizes = {variant.name: cost(planned.config(variant)).parameters for variant in ablation.variants}
    controls = {variant.twin_of: variant.name for variant in ablation.variants if variant.twin_of}
    assert set(controls) == {variant.name for variant in ablation.variants[1:] if not variant.twin_of}
    for original, control in controls.items():
        assert abs(sizes[control] - sizes["full"]) <= abs(sizes[str(original)] - sizes["full"])


@pytest.mark.parametrize(
    ("base", "settings", "data"),
    [
        ([], [], ["digits"]),
        (["data=digits", "root=there", "sweep.workers=2", "tracking.uri=sqlite:///x", "cluster=dev"], [], ["digits"]),
        (["data=pdigits", "ablation.match=flops", "hydra/launcher=submitit_local"], [], ["pdigits"]),
        (["model=release", "training.epochs=2"], ["model=release", "training.epochs=2"], ["digits"]),
        (["model=tiny", "model.width=1.0", "optimizer=kar3"], [], ["digits"]),  # as without them
        (["model=resnet20", "model.width=2"], ["model=resnet20", "model.width=2"], ["digits"]),
        (["optimizer.lr=0.1", "data.validation_fraction=0.2"],) * 2 + (["digits"],),
    ],
)
def test_settings_are_the_overrides_that_change_results(
    planner: Planner, base: list[str], settings: list[str], data: list[str]
) -> None:
    sweep = planner.choices([[]], base, None).sweep
    assert (list(sweep.settings), list(sweep.data)) == (settings, data)
    assert sweep.is_comparable == (not settings)


def test_typed_seeds_are_no_settings_and_leave_a_sweep_comparable(planner: Planner) -> None:
    sweep = planner.ablations(["gating"], ["data=sdigits"], [0, 1]).sweep
    assert (sweep.settings, sweep.data, sweep.is_comparable) == ((), ("sdigits",), True)
    assert sweep.ablations[0].looks is None
    assert sweep.id == planner.ablations(["gating"], ["data=sdigits"], None).sweep.id


def test_typed_seeds_of_an_older_sweep_leave_it_comparable(planner: Planner) -> None:
    sweep = planner.ablations(["gating"], [], [0, 1]).sweep
    assert replace(sweep, settings=("seed=0,1",)).is_comparable
    assert not replace(sweep, settings=("seed=0,1", "model.width=2")).is_comparable


def test_overrides_that_need_each_other_both_count(composer: Composer) -> None:
    assert own_settings(composer, ["data=mnist", "data.folder=there", "optimizer=sgd", "optimizer.betas=[0.8]"]) == [
        "optimizer=sgd",
        "optimizer.betas=[0.8]",
    ]


@pytest.mark.parametrize(
    ("names", "data", "message"),
    [
        (
            ["sequence_product"],
            "digits",
            "ablation=sequence_product: asks about sequences; data=digits holds images; "
            "add data=mnist1d, data=mnist1d_hard, data=pdigits, data=pmnist, data=pmnist1d, data=scifar10, "
            "data=sdigits or data=smnist",
        ),
        (
            ["gating", "product"],
            "sdigits",
            "ablation=product: asks about images; data=sdigits holds sequences; add data=",
        ),
    ],
)
def test_data_of_another_kind_are_refused(planner: Planner, names: list[str], data: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        planner.ablations(names, [f"data={data}"], None)


@pytest.mark.parametrize(
    ("name", "data"), [("product", "digits"), ("sequence_product", "pdigits"), ("gating", "pdigits")]
)
def test_the_data_that_an_ablation_is_about_are_planned(plan: Callable[..., Plan], name: str, data: str) -> None:
    assert len(plan(name, f"data={data}").sweep.ablations[0].variants) > 1


def test_one_name_in_two_ablations_means_one_thing(
    planner: Planner, composer: Composer, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = composer.settings

    def with_another_meaning(overrides: Sequence[str], *, of: str = "") -> Settings:
        settings = original(overrides, of=of)
        if "ablation=slow_loss" in overrides:
            ablation = replace(settings.ablation, variants={"plain": {"model.width": 2}})
            return replace(settings, ablation=ablation)
        return settings

    monkeypatch.setattr(composer, "settings", with_another_meaning)
    message = "ablation=gating,slow_loss: both have a variant plain, with different overrides"
    with pytest.raises(UserError, match=message):
        planner.ablations(["gating", "slow_loss"], [], None)


def test_an_ablation_plans_looks_and_the_runs_of_the_first(planner: Planner) -> None:
    [ablation] = planner.ablations(["gating"], ["ablation.looks=[4,6]", "ablation.reserve=0.2"], None).sweep.ablations
    assert ablation.looks == LookPlan((4, 6), (0.5, 0.5), reserve=0.2)
    assert {tuple(variant.runs) for variant in ablation.variants} == {(0, 1, 2, 3)}
    assert ablation.first_seeds(6) == [0, 1, 2, 3, 4, 5]


def test_a_fixed_list_of_seeds_is_a_plan_of_one_look(planner: Planner) -> None:
    [ablation] = planner.ablations(["gating"], [], [7, 2, 5, 0]).sweep.ablations
    assert (ablation.looks, ablation.plan) == (None, LookPlan((4,), (1.0,)))
    assert ablation.is_judged
    assert [ablation.first_seeds(count) for count in (2, 6)] == [[7, 2], [7, 2, 5, 0, 1, 3]]
    [two] = planner.ablations(["gating"], [], [0, 1]).sweep.ablations
    assert not two.is_judged


def test_vary_says_what_the_seeds_draw(planner: Planner) -> None:
    plans = {
        vary: planner.ablations(["gating"], [f"ablation.vary={vary}"], [3]) for vary in ("[init,order]", "[split]")
    }
    usual, split = (
        {key: config.seed_of for key, config in plans[vary].configs.items()} for vary in ("[init,order]", "[split]")
    )
    assert usual.keys() == planner.ablations(["gating"], [], [3]).configs.keys()
    assert set(split.values()) == {SourceSeeds(init=0, order=0, split=None)}
    assert not usual.keys() & split.keys()
    ids = {plan.sweep.ablations[0].id for plan in plans.values()}
    assert len(ids) == 2  # what was looked at of one is nothing of the other


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["ablation.vary=[init,data]"],
            r"^ablation\.vary\[1\]: Invalid value 'data', expected one of \[init, order, split",
        ),
        (["ablation.vary=[]"], r"^ablation\.vary=\[\]: must be some of init, order, split, each once$"),
        (
            ["ablation.vary=[init,init]"],
            r"^ablation\.vary=\[init,init\]: must be some of init, order, split, each once$",
        ),
        (
            ["ablation.vary=[init]", "seed_of.order=1"],
            r"^ablation\.vary=\[init\]: says .*, but seed_of is given",
        ),
        (["seed_of.init=-1"], r"seed_of\.init=-1: must be null or from 0 to 2⁶³ − 1$"),
        (
            ["seed_of.split=null", "data=mnist1d", "training.protocol=release"],
            r"seed_of\.split=null: there is no split to draw: mnist1d has a test split, and training\.protocol=release",
        ),
        (
            ["ablation.vary=[split]", "ablation.tune=optimizer.lr", "ablation.tune_values=[1e-3,1e-2]"],
            r"^ablation\.tune: where the seed draws the test split too, tuning runs would see test images",
        ),
    ],
)
def test_seeds_that_cannot_be_are_refused_in_one_line(planner: Planner, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        planner.ablations(["gating"], overrides, None)


def test_a_variant_that_sets_a_seed_itself_does_not_go_with_vary(planner: Planner) -> None:
    message = (
        r"^ablation\.vary=\[init\]: says what the seeds of all variants draw, but all of variance sets seed_of\.split$"
    )
    with pytest.raises(UserError, match=message):
        planner.ablations(["variance"], ["ablation.vary=[init]"], None)


@pytest.mark.parametrize("seeds", [None, [0], [0, 1, 2, 3], [9, 4]])
def test_the_id_of_an_ablation_does_not_depend_on_its_seeds(planner: Planner, seeds: list[int] | None) -> None:
    [first] = planner.ablations(["gating"], [], [0, 1, 2]).sweep.ablations
    [other] = planner.ablations(["gating"], [], seeds).sweep.ablations
    assert other.id == first.id


def test_less_of_a_loss_is_better(planner: Planner) -> None:
    [ablation] = planner.ablations(["gating"], ["ablation.metric=test_loss"], None).sweep.ablations
    assert (ablation.metric, ablation.higher_is_better) == ("test_loss", False)


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("ablation.looks=[3,4]", True),
        ("ablation.reserve=0.5", True),
        ("machine.threads=1", True),
        ("ablation.smallest_effect=0.02", False),
        ("ablation.metric=validation_accuracy", False),
        ("ablation.baseline='gate=glu'", False),
        ("ablation.one_at_a_time={model.gate:[glu]}", False),
        ("training.epochs=2", False),
    ],
)
def test_the_id_of_an_ablation_depends_on_what_is_asked(planner: Planner, override: str, same: bool) -> None:
    first, other = (
        planner.ablations(["gating"], overrides, None).sweep.ablations[0].id for overrides in ([], [override])
    )
    assert (first == other) is same


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ablation.looks=[3,5,5]", "ablation.looks=[3, 5, 5]: each look must have more seeds than the one before it"),
        ("ablation.looks=[5,3]", "ablation.looks=[5, 3]: each look must have more seeds than the one before it"),
        ("ablation.looks=[1,3]", "ablation.looks=[1, 3]: the first look takes 3 seeds or more"),
        ("ablation.looks=[2]", "ablation.looks=[2]: the first look takes 3 seeds or more"),
        ("ablation.looks=[]", "ablation.looks=[]: the first look takes 3 seeds or more"),
        ("ablation.shares=[0.2,0.2,0.2,0.2,0.1]", "ablation.shares=[0.2, 0.2, 0.2, 0.2, 0.1]: must sum to 1, here 0.9"),
        ("ablation.shares=[0.5,0.5]", "ablation.shares=[0.5, 0.5]: must be as many as the looks, 5"),
        ("ablation.shares=[1,0,0,0,0]", "ablation.shares=[1.0, 0.0, 0.0, 0.0, 0.0]: each must be above 0"),
        ("ablation.reserve=1", "ablation.reserve=1.0: must be 0 or more, and below 1"),
        ("ablation.reserve=-0.1", "ablation.reserve=-0.1: must be 0 or more, and below 1"),
        ("sweep.looks=0", "sweep.looks=0: must be at least 1"),
        ("sweep.budget_min=0", "sweep.budget_min=0: must be above 0 minutes"),
    ],
)
def test_looks_that_are_no_plan_are_refused_in_one_line(planner: Planner, override: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        planner.ablations(["gating"], [override], None)


def test_a_frozen_plan_of_looks_stays(planner: Planner, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    first = planner.ablations(["gating"], [], None)
    first.freeze(ledger, provenance())
    again = planner.ablations(["gating"], ["ablation.looks=[3,4]"], None)
    again.freeze(ledger, provenance())
    assert ledger.looks(again.sweep.ablations[0]).plan() == first.sweep.ablations[0].plan == LookPlan()


def test_the_limits_of_a_sweep_are_its_own(composer: Composer) -> None:
    settings = composer.settings(["sweep.looks=2", "sweep.budget_min=3"])
    sweep = Planner(composer, provenance(), [], settings).ablations(["gating"], [], [0]).sweep
    assert (sweep.most_looks, sweep.until) == (2, sweep.created + 180)
