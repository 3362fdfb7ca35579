from __future__ import annotations

import re

import pytest

from terminator.errors import UserError
from terminator.planning.compose import Composer
from terminator.planning.plan import plan


@pytest.mark.parametrize(
    ("names", "data", "complaint"),
    [
        (
            ["sequence_product"],
            "digits",
            "ablation=sequence_product: asks about sequences; data=digits holds images; "
            "add data=pdigits or data=sdigits",
        ),
        (
            ["gating", "product"],
            "sdigits",
            "ablation=product: asks about images; data=sdigits holds sequences; add data=",
        ),
    ],
)
def test_data_of_another_kind_are_refused(composer: Composer, names: list[str], data: str, complaint: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(complaint)}"):
        plan(composer, names, [f"data={data}"], None)


@pytest.mark.parametrize(
    ("name", "data"), [("product", "digits"), ("sequence_product", "pdigits"), ("gating", "pdigits")]
)
def test_the_data_that_are_asked_about_are_planned(composer: Composer, name: str, data: str) -> None:
    [ablation] = plan(composer, [name], [f"data={data}"], [0]).ablations
    assert len(ablation.variants) > 1
