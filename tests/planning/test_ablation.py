"""Variants from lists and generators, against ones worked by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from terminator.analysis.metrics import KNOWN
from terminator.errors import UserError
from terminator.planning.ablation import HIGHER_IS_BETTER, METRICS, AblationConfig, variants
from terminator.text import describe, to_overrides


def _expand(**fields: Any) -> dict[str, dict[str, Any]]:
    return {variant.name: dict(variant.overrides) for variant in variants(AblationConfig(**fields), "some")}


def test_the_baseline_comes_first_and_needs_no_entry() -> None:
    assert _expand(variants={"big": {"model.width": 2}}) == {"full": {}, "big": {"model.width": 2}}


def test_a_listed_baseline_keeps_its_overrides_and_comes_first() -> None:
    found = _expand(baseline="b", variants={"a": {}, "b": {"model.depth": 1}})
    assert list(found.items()) == [("b", {"model.depth": 1}), ("a", {})]


def test_leave_one_out() -> None:
    assert _expand(leave_one_out={"m.a": False, "m.b": "none"}) == {
        "full": {},
        "no_a": {"m.a": False},
        "no_b": {"m.b": "none"},
    }


def test_add_one_in() -> None:
    assert _expand(add_one_in={"m.a": False, "m.b": False, "m.c": 0}) == {
        "full": {},
        "only_a": {"m.b": False, "m.c": 0},
        "only_b": {"m.a": False, "m.c": 0},
        "only_c": {"m.a": False, "m.b": False},
    }


def test_one_at_a_time() -> None:
    assert _expand(one_at_a_time={"m.gate": ["glu", "mixer"], "m.width": [2]}) == {
        "full": {},
        "gate=glu": {"m.gate": "glu"},
        "gate=mixer": {"m.gate": "mixer"},
        "width=2": {"m.width": 2},
    }


def test_grid_is_every_combination_with_its_factors() -> None:
    found = variants(AblationConfig(grid={"x.a": [1, 2], "y.b": ["u", "v"]}), "some")
    assert [variant.name for variant in found] == ["full", "a=1,b=u", "a=1,b=v", "a=2,b=u", "a=2,b=v"]
    assert found[3].factors == {"x.a": 2, "y.b": "u"}


def test_zip_goes_side_by_side() -> None:
    assert list(_expand(zip={"a": [1, 2], "b": [3, 4]}).values()) == [{}, {"a": 1, "b": 3}, {"a": 2, "b": 4}]


def test_zip_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(UserError, match=r"ablation\.zip: axes must be equally long, here \{'a': 2, 'b': 1\}"):
        _expand(zip={"a": [1, 2], "b": [3]})


def test_equal_last_parts_are_told_apart() -> None:
    assert list(_expand(one_at_a_time={"a.lr": [1], "b.lr": [2]})) == ["full", "a.lr=1", "b.lr=2"]


def test_one_name_for_two_variants_is_refused() -> None:
    with pytest.raises(UserError, match=r"two variants are called no_a, with different overrides: m\.a=1 and m\.a=0"):
        _expand(variants={"no_a": {"m.a": 1}}, leave_one_out={"m.a": 0})


def test_an_ablation_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="nothing to compare with the baseline full"):
        _expand()


@pytest.mark.parametrize("values", [3, [], "abc"])
def test_an_axis_without_a_list_is_refused(values: Any) -> None:
    with pytest.raises(UserError, match=r"ablation\.grid\.m\.a=.*: must be a list of values"):
        _expand(grid={"m.a": values})


def test_overrides_are_what_one_would_type() -> None:
    overrides = {"a": None, "b": True, "c": [3, 5], "d": {"x": False, "y": "glu"}, "e": 0.5}
    assert to_overrides(overrides) == ["a=null", "b=true", "c=[3,5]", "d={x:false,y:glu}", "e=0.5"]
    assert describe({}) == "no override"


def test_every_metric_that_a_table_knows_can_judge() -> None:
    assert set(METRICS) == set(KNOWN)
    assert {name for name, each in KNOWN.items() if each.higher_is_better} == set(HIGHER_IS_BETTER)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"metric": "accuracy"}, "ablation.metric=accuracy: no such metric; did you mean test_accuracy? choose from"),
        ({"baseline": "smal"}, "ablation=some: baseline=smal: no such variant; did you mean small? any other name"),
        ({"variants": {"a": {"seed": 3}}}, "ablation=some: variants.a.seed: variants cannot differ in it; seed= on"),
        ({"variants": {"a": {"sweep.workers": 3}}}, "variants.a.sweep.workers: variants cannot differ in it; a run"),
    ],
)
def test_what_would_pass_in_silence_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        _expand(**{"variants": {"small": {"model.width": 0.5}, "big": {"model.width": 2}}, **fields})


def test_a_baseline_of_a_name_of_its_own_has_no_overrides() -> None:
    assert _expand(baseline="preset", variants={"big": {"model.width": 2}})["preset"] == {}
