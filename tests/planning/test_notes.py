"""What a plan says beside its numbers, on networks whose size follows from their words."""

from __future__ import annotations

from terminator.planning.compose import Composer
from terminator.planning.cost import WIDEST
from terminator.planning.plan import PlannedAblation, plan
from terminator.planning.show import notes

SMALL = ["model.channels=[12]", "model.depth=1"]


def _planned(composer: Composer, *words: str, ablation: str = "depth") -> PlannedAblation:
    [planned] = plan(composer, [ablation], words, [0]).ablations
    return planned


def test_a_twin_at_the_searchs_bound_is_told(composer: Composer) -> None:
    planned = _planned(composer, "ablation.match=parameters", "ablation.one_at_a_time={model.depth:[1]}")
    full, _, twin = planned.variants
    assert (full.cost.parameters, twin.cost.parameters) == (103_991, 19_183)
    assert notes(planned) == [
        "depth=1@parameters misses the 103,991 parameters of full by −82 %: "
        f"the search ends at {WIDEST:g} times the width."
    ]


def test_a_twin_between_two_steps_is_told(composer: Composer) -> None:
    planned = _planned(composer, *SMALL, "ablation.match=flops", "ablation.one_at_a_time={model.depth:[2]}")
    *_, note = notes(planned)
    assert note.startswith("depth=2@flops misses the ")
    assert note.endswith(" %: channels come in steps of 12, at least 12.")


def test_a_twin_that_is_near_needs_no_word(composer: Composer) -> None:
    words = ["ablation.match=parameters", "ablation.one_at_a_time={model.omega_0:[3.0]}"]
    planned = _planned(composer, *words, ablation="omega_0")
    assert any(each.variant.twin_of for each in planned.variants)
    assert not any("misses" in note for note in notes(planned))


def test_without_twins_there_is_nothing_to_say(composer: Composer) -> None:
    assert notes(_planned(composer)) == []
